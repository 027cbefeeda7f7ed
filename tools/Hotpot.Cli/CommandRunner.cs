using Hotpot.Cli.Output;
using Hotpot.Runtime;

namespace Hotpot.Cli;

/// <summary>Turns what a command throws into one sentence and an exit code.</summary>
internal static class CommandRunner
{
    /// <summary>The exit code of a shell for a program ended by Ctrl-C.</summary>
    private const int Interrupted = 130;

    public static async Task<int> RunAsync(Func<Task> command)
    {
        try
        {
            await command().ConfigureAwait(false);
            return ExitCodes.Done;
        }
        catch (CommandException exception)
        {
            Screen.Error(exception.Message);
            return exception.ExitCode;
        }
        catch (HotpotException exception)
        {
            Screen.Error(exception.Message);
            return ExitCodeOf(exception.Status);
        }
        catch (Exception exception) when (exception is not OperationCanceledException && IsUnavailable(exception))
        {
            Screen.Error(exception.Message);
            return ExitCodes.Unavailable;
        }
        catch (OperationCanceledException)
        {
            Screen.Error("Interrupted.");
            return Interrupted;
        }
        catch (Exception exception) when (exception is FileNotFoundException or DirectoryNotFoundException)
        {
            Screen.Error(exception.Message);
            return ExitCodes.NotFound;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            Screen.Error(exception.Message);
            return ExitCodes.Failed;
        }
    }

    /// <summary>What the actor host throws when no silo, or not the one needed, is there.</summary>
    internal static bool IsUnavailable(Exception exception) =>
        exception is OrleansException or TimeoutException or OperationCanceledException or NodeUnavailableException;

    internal static int ExitCodeOf(HotpotStatus status) => status switch
    {
        HotpotStatus.NotFound => ExitCodes.NotFound,
        HotpotStatus.Invalid or HotpotStatus.Range or HotpotStatus.InvalidName or HotpotStatus.Configuration => ExitCodes.Usage,
        HotpotStatus.Degree or HotpotStatus.Unreachable or HotpotStatus.Timeout or HotpotStatus.Busy or HotpotStatus.PeerLost
            or HotpotStatus.NodeUnavailable or HotpotStatus.NoSiloHere or HotpotStatus.Closed => ExitCodes.Unavailable,
        _ => ExitCodes.Failed,
    };
}
