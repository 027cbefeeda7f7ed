using System.ComponentModel;
using System.Diagnostics;
using System.Reflection;
using System.Runtime.InteropServices;
using Hotpot.Silo;

namespace Hotpot.LocalCluster;

/// <summary>One silo as a child process, which may be killed, stopped and started again with the same data.</summary>
public sealed partial class NodeProcess : IAsyncDisposable
{
    private static readonly TimeSpan s_startTimeout = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan s_stopTimeout = TimeSpan.FromSeconds(20);

    private readonly string _logFile;
    private readonly Process _process;
    private readonly Task _logging;

    // Set by the first dispose, which forgets the process.
    private int? _exitCode;

    private NodeProcess(string logFile, int index, Process process)
    {
        _logFile = logFile;
        Index = index;
        _process = process;
        _logging = AppendAsync(process.StandardError, logFile);
    }

    /// <summary>Set once, when the node has said that it is ready.</summary>
    public NodeId Id { get; private set; }

    public string Name => $"node {Index}";

    public int Index { get; }

    public int ProcessId => _process.Id;

    public bool HasExited => _exitCode is not null || _process.HasExited;

    public int ExitCode => _exitCode ?? _process.ExitCode;

    /// <summary>It was told to stop, and did so in order.</summary>
    public bool EndedInOrder => ExitCode == ExitCodes.Stopped;

    /// <summary>The other silos had declared it dead; it noticed, and ended by itself.</summary>
    public bool EndedFenced => ExitCode == ExitCodes.Fenced;

    /// <summary>Returns when the node has joined the cluster and all its datasets. The program is the one that calls this.</summary>
    public static Task<NodeProcess> StartAsync(ClusterFolder folder, int index, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(folder);
        return StartAsync([], new NodeOptions(folder.DataDirectory(index), folder.ClusterDirectory, folder.KeyFile, folder.Medium), folder.LogFile(index), index, cancellation);
    }

    /// <param name="launcher">A program, with its arguments, that replaces itself by the command line behind it; or nothing.</param>
    public static async Task<NodeProcess> StartAsync(
        IReadOnlyList<string> launcher, NodeOptions options, string logFile, int index, CancellationToken cancellation)
    {
        string[] command = [.. launcher, "dotnet", Assembly.GetEntryAssembly()!.Location, .. NodeCommand.Arguments(options)];
        var start = new ProcessStartInfo(command[0], command[1..]) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        var process = Process.Start(start) ?? throw new LocalClusterException($"The program {command[0]} did not start.");
        var node = new NodeProcess(logFile, index, process);
        try
        {
            await node.WaitUntilReadyAsync(cancellation).ConfigureAwait(false);
            return node;
        }
        catch
        {
            await node.EndAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>SIGKILL, without waiting for the end: the process gets no chance to hand over, flush or say goodbye.</summary>
    public void BeginKill()
    {
        if (!HasExited)
            _process.Kill();
    }

    /// <summary>SIGKILL.</summary>
    public async Task KillAsync()
    {
        BeginKill();
        await WaitForExitAsync(CancellationToken.None).ConfigureAwait(false);
    }

    public void Stop() => Signal(19);

    public void Continue() => Signal(18);

    public void Terminate() => Signal(15);

    public Task WaitForExitAsync(CancellationToken cancellation) => _exitCode is null ? _process.WaitForExitAsync(cancellation) : Task.CompletedTask;

    /// <summary>Lets the node drain and leave; one that does not within the time is killed.</summary>
    public async ValueTask DisposeAsync()
    {
        if (_exitCode is not null)
            return;
        if (!_process.HasExited)
        {
            _process.StandardInput.Close();
            using var limit = new CancellationTokenSource(s_stopTimeout);
            try
            {
                await _process.WaitForExitAsync(limit.Token).ConfigureAwait(false);
            }
            catch (OperationCanceledException)
            {
                BeginKill();
            }
        }

        await EndAsync().ConfigureAwait(false);
    }

    /// <summary>Kills the process if it still runs, and forgets it.</summary>
    private async Task EndAsync()
    {
        if (!_process.HasExited)
            await KillAsync().ConfigureAwait(false);
        await _logging.ConfigureAwait(false);
        _exitCode = _process.ExitCode;
        _process.Dispose();
    }

    private async Task WaitUntilReadyAsync(CancellationToken cancellation)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        limit.CancelAfter(s_startTimeout);
        try
        {
            var line = await _process.StandardOutput.ReadLineAsync(limit.Token).ConfigureAwait(false);
            if (line is null)
                throw new LocalClusterException($"{Name} ended while it was starting. {await LastLinesAsync().ConfigureAwait(false)}");
            Id = line.Split(' ') is [NodeHost.ReadyWord, var id] ? NodeId.Parse(id) : throw new LocalClusterException($"{Name} said '{line}' instead of being ready.");
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            _process.Kill();
            throw new LocalClusterException($"{Name} was not ready within {s_startTimeout.TotalSeconds:0} s. {await LastLinesAsync().ConfigureAwait(false)}");
        }
    }

    private async Task<string> LastLinesAsync()
    {
        await _process.WaitForExitAsync().ConfigureAwait(false);
        await _logging.ConfigureAwait(false);
        return "The end of its log:\n" + string.Join('\n', File.ReadLines(_logFile).TakeLast(20));
    }

    private void Signal(int signal)
    {
        // The child stays a zombie until it is waited for, so its pid is its own for as long as this object lives. One that has ended takes no harm.
        if (!_process.HasExited && Kill(_process.Id, signal) != 0)
            throw new Win32Exception(Marshal.GetLastPInvokeError(), $"Signal {signal} did not reach {Name}: {Marshal.GetPInvokeErrorMessage(Marshal.GetLastPInvokeError())}.");
    }

    private static async Task AppendAsync(StreamReader from, string path)
    {
        await using var log = new StreamWriter(path, append: true) { AutoFlush = true };
        while (await from.ReadLineAsync().ConfigureAwait(false) is { } line)
            await log.WriteLineAsync(line).ConfigureAwait(false);
    }

    [LibraryImport("libc", EntryPoint = "kill", SetLastError = true)]
    private static partial int Kill(int pid, int signal);
}
