#if HOTPOT_EMBEDDED
using System.Diagnostics;
using System.Text.Json;
using Hotpot.Cli;

namespace Hotpot.Tests.Cli;

/// <summary>
/// The command line against real silos, as a user meets it: processes in the background, a node killed and started again, and an exit
/// code for each thing that can be wrong. The silo program lies beside the tests, because the test project references it.
/// </summary>
public sealed class LocalClusterTests : IAsyncLifetime
{
    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(2);

    private readonly DirectoryInfo _temporary = Directory.CreateTempSubdirectory("hotpot-tests-");

    public Task InitializeAsync() => Task.CompletedTask;

    [Fact]
    public async Task A_cluster_keeps_its_bytes_over_a_kill_and_a_restart()
    {
        var file = Path.Combine(_temporary.FullName, "file");
        var copy = Path.Combine(_temporary.FullName, "copy");
        var bytes = new byte[300_000];
        new Random(7).NextBytes(bytes);
        await File.WriteAllBytesAsync(file, bytes);

        await SucceedAsync("cluster", "up", "--nodes", "2");
        await SucceedAsync("dataset", "create", "d", "--size", "1M", "--degree", "2", "--chunk", "64K");
        await SucceedAsync("dataset", "put", "d", file, "--offset", "4K");
        await SucceedAsync("dataset", "get", "d", copy, "--offset", "4K", "--length", "300000");
        Assert.Equal(bytes, await File.ReadAllBytesAsync(copy));
        var sum = await SucceedAsync("dataset", "checksum", "d");

        await SucceedAsync("cluster", "down", "--node", "node-1", "--kill");
        await WaitForMissingReplicasAsync(missing => missing > 0);
        Assert.Equal(sum, await SucceedAsync("dataset", "checksum", "d"));

        await SucceedAsync("cluster", "up");
        await WaitForMissingReplicasAsync(missing => missing == 0);
        var sums = await SucceedAsync("dataset", "checksum", "d", "--every-node");
        Assert.Equal(2, sums.Split('\n', StringSplitOptions.RemoveEmptyEntries).Length);

        await SucceedAsync("cluster", "down");
        await SucceedAsync("cluster", "up");
        Assert.Equal(sum, await SucceedAsync("dataset", "checksum", "d"));
        await SucceedAsync("dataset", "rm", "d");
        Assert.Equal("[]", (await SucceedAsync("dataset", "ls", "--json")).Trim());
    }

    [Fact]
    public async Task Whatever_is_wrong_has_its_exit_code()
    {
        await ExpectAsync(ExitCodes.NotFound, "cluster", "status");
        await ExpectAsync(ExitCodes.NotFound, "dataset", "ls");
        await SucceedAsync("cluster", "up", "--nodes", "1");
        await SucceedAsync("cluster", "up");
        await SucceedAsync("dataset", "create", "d", "--size", "64K");

        await ExpectAsync(ExitCodes.Usage, "cluster", "frobnicate");
        await ExpectAsync(ExitCodes.Usage, "cluster", "up", "--nodes", "0");
        await ExpectAsync(ExitCodes.Usage, "cluster", "up", "--medium", "pmem");
        await ExpectAsync(ExitCodes.NotFound, "cluster", "down", "--node", "node-9");
        await ExpectAsync(ExitCodes.Usage, "dataset", "create", "", "--size", "4K");
        await ExpectAsync(ExitCodes.Usage, "dataset", "create", new string('n', 256), "--size", "4K");
        await ExpectAsync(ExitCodes.Usage, "dataset", "create", "e", "--size", "0");
        await ExpectAsync(ExitCodes.Usage, "dataset", "create", "e", "--size", "4K", "--degree", "9");
        await ExpectAsync(ExitCodes.Usage, "dataset", "create", "e", "--size", "4K", "--chunk", "5000");
        await ExpectAsync(ExitCodes.Unavailable, "dataset", "create", "e", "--size", "4K", "--degree", "2");
        await ExpectAsync(ExitCodes.Failed, "dataset", "create", "d", "--size", "4K");
        await ExpectAsync(ExitCodes.NotFound, "dataset", "stat", "e");
        await ExpectAsync(ExitCodes.NotFound, "dataset", "rm", "e");
        await ExpectAsync(ExitCodes.NotFound, "dataset", "put", "d", "no such file");
        await ExpectAsync(ExitCodes.Usage, "dataset", "get", "d", "--offset", "60K", "--length", "8K");
        Assert.Contains("\"d\"", await SucceedAsync("dataset", "ls", "--json"));

        await SucceedAsync("cluster", "down");
        await ExpectAsync(ExitCodes.Unavailable, "cluster", "status");
        await ExpectAsync(ExitCodes.Unavailable, "dataset", "ls");
    }

    public async Task DisposeAsync()
    {
        // Whatever the test left running ends here; without a cluster the command says so, which is as good.
        var (exitCode, _, errors) = await RunAsync("cluster", "down", "--kill");
        Assert.True(exitCode is ExitCodes.Done or ExitCodes.NotFound, errors);
        _temporary.Delete(recursive: true);
    }

    private async Task WaitForMissingReplicasAsync(Func<int, bool> reached)
    {
        using var limit = new CancellationTokenSource(s_limit);
        while (true)
        {
            using var status = JsonDocument.Parse(await SucceedAsync("dataset", "stat", "d", "--json"));
            if (reached(status.RootElement.GetProperty("replicas_missing").GetInt32()))
                return;
            await Task.Delay(TimeSpan.FromMilliseconds(50), limit.Token);
        }
    }

    private async Task<string> SucceedAsync(params string[] arguments)
    {
        var (exitCode, output, errors) = await RunAsync(arguments);
        Assert.True(exitCode == ExitCodes.Done, $"{string.Join(' ', arguments)} ended with {exitCode}: {errors}");
        return output;
    }

    private async Task ExpectAsync(int expected, params string[] arguments)
    {
        var (exitCode, _, errors) = await RunAsync(arguments);
        Assert.True(exitCode == expected, $"{string.Join(' ', arguments)} ended with {exitCode} instead of {expected}: {errors}");
        Assert.NotEmpty(errors);
    }

    private async Task<(int ExitCode, string Output, string Errors)> RunAsync(params string[] arguments)
    {
        var start = new ProcessStartInfo("dotnet") { RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true };
        start.ArgumentList.Add(Path.Combine(AppContext.BaseDirectory, "Hotpot.Cli.dll"));
        foreach (var argument in arguments)
            start.ArgumentList.Add(argument);
        start.Environment["HOTPOT_SILO_DLL"] = Path.Combine(AppContext.BaseDirectory, "Hotpot.Silo.dll");
        start.Environment["HOTPOT_CLUSTER"] = Path.Combine(_temporary.FullName, "cluster");
        using var process = Process.Start(start)!;
        process.StandardInput.Close();
        var output = process.StandardOutput.ReadToEndAsync();
        var errors = process.StandardError.ReadToEndAsync();
        await Task.WhenAll(output, errors).WaitAsync(s_limit);
        await process.WaitForExitAsync();
        return (process.ExitCode, await output, await errors);
    }
}
#endif
