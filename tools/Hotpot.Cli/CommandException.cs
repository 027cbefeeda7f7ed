namespace Hotpot.Cli;

/// <summary>Ends a command with one sentence for the user and an exit code for the caller.</summary>
internal sealed class CommandException(int exitCode, string message) : Exception(message)
{
    public int ExitCode { get; } = exitCode;
}
