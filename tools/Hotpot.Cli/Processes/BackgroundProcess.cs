using System.Diagnostics;

namespace Hotpot.Cli.Processes;

/// <summary>Starts a program that goes on when this one and its terminal have ended.</summary>
internal static class BackgroundProcess
{
    /// <summary>
    /// Its output is appended to <paramref name="log"/>. setsid takes it out of the terminal's session, so that neither Ctrl-C nor the
    /// end of the terminal reaches it; both shell and setsid replace themselves, so the pid returned is the program's own.
    /// </summary>
    public static ProcessIdentity Start(string program, IEnumerable<string> arguments, string log)
    {
        var start = new ProcessStartInfo("/bin/sh") { UseShellExecute = false };
        string[] head = ["-c", "log=$1; shift; exec setsid \"$@\" >>\"$log\" 2>&1 </dev/null", "sh", log, program];
        foreach (var argument in head.Concat(arguments))
            start.ArgumentList.Add(argument);
        using var process = Process.Start(start) ?? throw new InvalidOperationException($"{program} did not start.");
        return ProcessIdentity.Of(process.Id)
            ?? throw new CommandException(ExitCodes.Failed, $"{program} ended at once; see {log}.");
    }

    /// <summary>True when the process has ended before the time ran out.</summary>
    public static async Task<bool> WaitForExitAsync(ProcessIdentity process, TimeSpan timeout, CancellationToken cancellation)
    {
        var deadline = Stopwatch.GetTimestamp() + (long)(timeout.TotalSeconds * Stopwatch.Frequency);
        while (process.IsAlive)
        {
            if (Stopwatch.GetTimestamp() >= deadline)
                return false;
            await Task.Delay(TimeSpan.FromMilliseconds(20), cancellation).ConfigureAwait(false);
        }

        return true;
    }
}
