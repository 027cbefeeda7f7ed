using System.Diagnostics;
using Hotpot.Cli.Processes;

namespace Hotpot.Tests.Cli;

public sealed class ProcessTests
{
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(30);

    [Fact]
    public void This_process_is_alive_and_has_one_identity()
    {
        var identity = ProcessIdentity.Of(Environment.ProcessId);

        Assert.NotNull(identity);
        Assert.True(identity.IsAlive);
        Assert.Equal(identity, ProcessIdentity.Of(Environment.ProcessId));
    }

    [Fact]
    public void A_later_process_with_the_same_pid_is_another_one()
    {
        var earlier = ProcessIdentity.Of(Environment.ProcessId)! with { StartTicks = 1 };

        Assert.False(earlier.IsAlive);
        // Signal 0 only asks, so this could do no harm even if the check were missing; that it is refused is the point.
        Assert.False(ProcessSignal.Send(earlier, 0));
        Assert.True(ProcessSignal.Send(ProcessIdentity.Of(Environment.ProcessId)!, 0));
    }

    [Fact]
    public async Task A_background_process_writes_its_log_and_ends_when_it_is_told()
    {
        var folder = Directory.CreateTempSubdirectory("hotpot-tests-");
        try
        {
            var log = Path.Combine(folder.FullName, "log with spaces");
            var process = BackgroundProcess.Start("sh", ["-c", "echo \"$1\"; exec sleep 600", "sh", "hello 'world'"], log);

            Assert.False(await BackgroundProcess.WaitForExitAsync(process, TimeSpan.FromMilliseconds(100), CancellationToken.None));
            Assert.True(ProcessSignal.Send(process, ProcessSignal.Terminate));
            Assert.True(await BackgroundProcess.WaitForExitAsync(process, s_limit, CancellationToken.None));
            Assert.Equal("hello 'world'\n", await File.ReadAllTextAsync(log));
            Assert.False(ProcessSignal.Send(process, ProcessSignal.Kill));
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    [Fact]
    public async Task A_process_that_has_ended_has_no_identity()
    {
        using var process = Process.Start("true");
        await process.WaitForExitAsync();

        Assert.Null(ProcessIdentity.Of(process.Id));
    }
}
