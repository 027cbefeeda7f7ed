using System.Diagnostics;
using Hotpot.Bench.Harness;

namespace Hotpot.Bench.Peers;

/// <summary>A server of a peer, as a child process whose output goes to a file.</summary>
internal sealed class PeerProcess : IAsyncDisposable
{
    private static readonly TimeSpan s_poll = TimeSpan.FromMilliseconds(50);

    private readonly Process _process;
    private readonly Task _output;
    private readonly string _logFile;

    private PeerProcess(string name, string logFile, Process process)
    {
        Name = name;
        _logFile = logFile;
        _process = process;
        _output = Task.WhenAll(ReadAsync(process.StandardOutput), ReadAsync(process.StandardError));
    }

    public string Name { get; }

    /// <param name="command">A program and its arguments.</param>
    public static PeerProcess Start(string name, Placement placement, IReadOnlyList<string> command, string logFile)
    {
        string[] line = [.. placement.Launcher, .. command];
        // The standard input is a pipe of ours that says nothing.
        var start = new ProcessStartInfo(line[0], line[1..])
        {
            RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = Path.GetDirectoryName(logFile),
        };
        var process = Process.Start(start) ?? throw new LocalClusterException($"The program {line[0]} did not start.");
        return new PeerProcess(name, logFile, process);
    }

    /// <summary>Runs a program to its end.</summary>
    /// <exception cref="LocalClusterException">It failed; the message has the end of what it said.</exception>
    public static async Task RunAsync(string name, IReadOnlyList<string> command, string logFile, CancellationToken cancellation)
    {
        await using var process = Start(name, Placement.Free, command, logFile);
        await process._process.WaitForExitAsync(cancellation);
        if (process._process.ExitCode != 0)
            throw new LocalClusterException($"{name} ended with exit code {process._process.ExitCode}. {await process.LastLinesAsync()}");
    }

    /// <summary>Asks again and again until the server is as it should be.</summary>
    /// <exception cref="LocalClusterException">It ended, or it was not so within the time.</exception>
    public async Task WaitUntilAsync(string what, Func<Task<bool>> isSo, TimeSpan limit, CancellationToken cancellation)
    {
        var started = Stopwatch.GetTimestamp();
        while (!await isSo())
        {
            if (_process.HasExited)
                throw new LocalClusterException($"{Name} ended while it was starting. {await LastLinesAsync()}");
            if (Stopwatch.GetElapsedTime(started) > limit)
                throw new LocalClusterException($"{Name} was not {what} within {limit.TotalSeconds:0} s; its output is in {_logFile}.");
            await Task.Delay(s_poll, cancellation);
        }
    }

    /// <summary>SIGKILL: nothing of it is to be kept.</summary>
    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
            _process.Kill();
        await _process.WaitForExitAsync();
        await _output;
        _process.Dispose();
    }

    private async Task<string> LastLinesAsync()
    {
        await _output;
        return "The end of its output:\n" + string.Join('\n', File.ReadLines(_logFile).TakeLast(20));
    }

    private async Task ReadAsync(StreamReader from)
    {
        while (await from.ReadLineAsync() is { } line)
        {
            lock (_process)
                File.AppendAllText(_logFile, line + "\n");
        }
    }
}
