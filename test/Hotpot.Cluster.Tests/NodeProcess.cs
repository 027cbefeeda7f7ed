using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;

namespace Hotpot.Cluster.Tests;

/// <summary>One silo as a child process. Its data directory outlives it, so it may be started again.</summary>
internal sealed partial class NodeProcess : IAsyncDisposable
{
    private static readonly TimeSpan StartLimit = TimeSpan.FromSeconds(90);

    private readonly Process _process;
    private readonly StringBuilder _log = new();
    private readonly Task _logging;

    private NodeProcess(Process process)
    {
        _process = process;
        _logging = KeepLogAsync();
    }

    /// <summary>Set once, when the node has said that it is ready.</summary>
    public NodeId Id { get; private set; }

    public bool HasExited => _process.HasExited;

    public int ExitCode => _process.ExitCode;

    public string Log
    {
        get
        {
            lock (_log)
                return _log.ToString();
        }
    }

    /// <summary>Starts a process and does not wait for anything.</summary>
    public static NodeProcess Launch(IEnumerable<string> settings)
    {
        ProcessStartInfo start = new("dotnet") { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        start.ArgumentList.Add(typeof(IProbeGrain).Assembly.Location);
        foreach (string setting in settings)
            start.ArgumentList.Add(setting);
        return new NodeProcess(Process.Start(start)!);
    }

    /// <summary>Returns when the node is a member of the cluster and of all its datasets.</summary>
    public async Task WaitUntilReadyAsync()
    {
        using CancellationTokenSource limit = new(StartLimit);
        string? line = await _process.StandardOutput.ReadLineAsync(limit.Token);
        if (line?.Split(' ') is not ["ready", string id])
            throw new InvalidOperationException($"The node said '{line}' instead of being ready:\n{Log}");
        Id = NodeId.Parse(id);
    }

    /// <summary>SIGKILL: no chance to flush, hand over or say goodbye.</summary>
    public async Task KillAsync()
    {
        _process.Kill();
        await WaitForExitAsync();
    }

    public void Stop() => Signal(19);

    public void Continue() => Signal(18);

    public void Terminate() => Signal(15);

    public async Task WaitForExitAsync()
    {
        using CancellationTokenSource limit = new(StartLimit);
        await _process.WaitForExitAsync(limit.Token);
        await _logging;
    }

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
            await KillAsync();
        _process.Dispose();
    }

    private void Signal(int signal) => Assert.Equal(0, Kill(_process.Id, signal));

    private async Task KeepLogAsync()
    {
        while (await _process.StandardError.ReadLineAsync() is { } line)
        {
            lock (_log)
                _log.AppendLine(line);
        }
    }

    [LibraryImport("libc", EntryPoint = "kill", SetLastError = true)]
    private static partial int Kill(int pid, int signal);
}
