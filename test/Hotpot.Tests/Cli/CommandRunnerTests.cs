using Hotpot.Cli;
using Hotpot.Runtime;

namespace Hotpot.Tests.Cli;

public sealed class CommandRunnerTests
{
    [Fact]
    public async Task Each_kind_of_failure_has_its_exit_code()
    {
        Assert.Equal(ExitCodes.Done, await CommandRunner.RunAsync(() => Task.CompletedTask));
        Assert.Equal(ExitCodes.NotFound, await RunAsync(new DatasetNotFoundException("gone")));
        Assert.Equal(ExitCodes.Usage, await RunAsync(new RangeOutsideDatasetException("outside")));
        Assert.Equal(ExitCodes.Unavailable, await RunAsync(new NodeUnavailableException("away")));
        Assert.Equal(ExitCodes.Unavailable, await RunAsync(new DegreeException("too few")));
        Assert.Equal(ExitCodes.Unavailable, await RunAsync(new TimeoutException("late")));
        Assert.Equal(ExitCodes.Failed, await RunAsync(new DiskFullException("full")));
        Assert.Equal(ExitCodes.NotFound, await RunAsync(new FileNotFoundException("no file")));
        Assert.Equal(ExitCodes.Failed, await RunAsync(new IOException("broken")));
        Assert.Equal(7, await RunAsync(new CommandException(7, "as it says")));
    }

    [Fact]
    public async Task A_defect_of_the_program_is_not_hidden()
    {
        await Assert.ThrowsAsync<InvalidOperationException>(() => RunAsync(new InvalidOperationException("bug")));
    }

    private static Task<int> RunAsync(Exception failure) => CommandRunner.RunAsync(() => Task.FromException(failure));
}
