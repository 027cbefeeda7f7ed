namespace Hotpot.Cluster.Tests;

/// <summary>What a node does with a log that a crash tore or somebody damaged.</summary>
public sealed class DamagedLogTests
{
    private const string LogFolder = "log";

    [Fact]
    public async Task ADamagedRecordInTheMiddleIsRefusedWithFileAndOffset()
    {
        await using TestCluster cluster = await TestCluster.StartAsync(1, "File");
        Dataset dataset = await cluster.CreateAsync("damaged", 4 << 20, degree: 1);
        for (int i = 0; i < 20; i++)
            await dataset.WriteAsync(i * 1000, new byte[] { 1, 2, 3 });
        await cluster.Nodes[0].KillAsync();
        string segment = FirstSegment(cluster);
        byte[] before = Damage(segment, at: 300);

        await using NodeProcess refused = NodeProcess.Launch(cluster.SettingsOf(0));
        await refused.WaitForExitAsync();
        Assert.NotEqual(0, refused.ExitCode);
        Assert.Contains(Path.GetFileName(segment), refused.Log);
        Assert.Matches("at byte [0-9]+", refused.Log);

        // The refusal changed nothing: with the byte put back everything acknowledged is there.
        await File.WriteAllBytesAsync(segment, before);
        await cluster.RestartAsync(0);
        byte[] bytes = await cluster.RetryAsync(() => dataset.ReadAsync(19 * 1000, 3), "the dataset is served again");
        Assert.Equal([1, 2, 3], bytes);
    }

    [Fact]
    public async Task ATornTailIsCutAndEverythingBeforeItKept()
    {
        await using TestCluster cluster = await TestCluster.StartAsync(1, "File");
        Dataset dataset = await cluster.CreateAsync("torn", 4 << 20, degree: 1);
        for (int i = 0; i < 20; i++)
            await dataset.WriteAsync(i * 1000, new byte[] { 1, 2, 3 });
        await cluster.Nodes[0].KillAsync();
        // A crash in the middle of an append that nobody was told of: the beginning of a record behind the last one.
        string segment = FirstSegment(cluster);
        byte[] log = await File.ReadAllBytesAsync(segment);
        int end = Array.FindLastIndex(log, value => value != 0) + 1;
        byte[] torn = log[64..128];
        torn.CopyTo(log, (end + 15) & ~15);
        await File.WriteAllBytesAsync(segment, log);

        await cluster.RestartAsync(0);
        byte[] bytes = await cluster.RetryAsync(() => dataset.ReadAsync(19 * 1000, 3), "the dataset is served again");
        Assert.Equal([1, 2, 3], bytes);
        await dataset.WriteAsync(0, new byte[] { 9 });
        Assert.Equal([9], await dataset.ReadAsync(0, 1));
    }

    private static string FirstSegment(TestCluster cluster) =>
        Directory.GetFiles(Path.Combine(cluster.DataDirectory(0), LogFolder)).Where(file => !file.EndsWith(".blank", StringComparison.Ordinal)).Order(StringComparer.Ordinal).First();

    /// <summary>Flips one byte, and returns what the file held before.</summary>
    private static byte[] Damage(string file, int at)
    {
        byte[] before = File.ReadAllBytes(file);
        byte[] after = [.. before];
        after[at] ^= 0xff;
        File.WriteAllBytes(file, after);
        return before;
    }
}
