using System.Diagnostics;

namespace Hotpot.Cluster.Tests;

/// <summary>A full disk is an error for the caller; what was acknowledged before stays.</summary>
public sealed class DiskFullTests
{
    [Fact]
    public async Task AFullDiskIsAClearErrorAndNothingAcknowledgedIsLost()
    {
        string mount = Directory.CreateTempSubdirectory("hotpot-full-").FullName;
        await RunAsync("mount", "-t", "tmpfs", "-o", "size=200m", "tmpfs", mount);
        try
        {
            await using TestCluster cluster = await TestCluster.StartAsync(1, "File", new() { ["DataDirectory"] = mount });
            Dataset dataset = await cluster.CreateAsync("full", 512 << 20, degree: 1);
            byte[] megabyte = new byte[1 << 20];
            int acknowledged = 0;
            DiskFullException? full = null;
            while (full is null && acknowledged < 512)
            {
                Array.Fill(megabyte, (byte)(acknowledged + 1));
                try
                {
                    await dataset.WriteAsync((long)acknowledged << 20, megabyte);
                    acknowledged++;
                }
                catch (DiskFullException failure)
                {
                    full = failure;
                }
            }
            Assert.NotNull(full);
            Assert.InRange(acknowledged, 1, 511);
            await AssertHoldsAsync(dataset, acknowledged);

            await cluster.Nodes[0].KillAsync();
            await cluster.RestartAsync(0);
            await cluster.EventuallyAsync(async () => (await dataset.ReadAsync(0, 1))[0] == 1, "the dataset is served again");
            await AssertHoldsAsync(dataset, acknowledged);
        }
        finally
        {
            await RunAsync("umount", "-l", mount);
            Directory.Delete(mount);
        }
    }

    private static async Task AssertHoldsAsync(Dataset dataset, int megabytes)
    {
        for (int i = 0; i < megabytes; i++)
        {
            byte[] bytes = await dataset.ReadAsync((long)i << 20, 1 << 20);
            Assert.Equal(1 << 20, bytes.AsSpan().Count((byte)(i + 1)));
        }
    }

    private static async Task RunAsync(string program, params string[] arguments)
    {
        using Process process = Process.Start(program, arguments);
        await process.WaitForExitAsync();
        Assert.Equal(0, process.ExitCode);
    }
}
