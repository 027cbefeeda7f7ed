using System.Diagnostics;
using Hotpot.Demo.Node;

namespace Hotpot.Demo.Orchestration;

/// <summary>One silo of the demo as a child process, which may be killed and started again with the same data.</summary>
internal sealed class NodeProcess : IAsyncDisposable
{
    private static readonly TimeSpan s_startTimeout = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan s_stopTimeout = TimeSpan.FromSeconds(20);

    private readonly DemoDirectory _directory;
    private readonly int _index;
    private readonly Process _process;
    private readonly Task _logging;

    private NodeProcess(DemoDirectory directory, int index, Process process)
    {
        _directory = directory;
        _index = index;
        _process = process;
        _logging = AppendAsync(process.StandardError, directory.LogFile(index));
    }

    /// <summary>Set once, when the node has said that it is ready.</summary>
    public NodeId Id { get; private set; }

    public string Name => $"node {_index}";

    public int ProcessId => _process.Id;

    public int Index => _index;

    /// <summary>Returns when the node has joined the cluster and all its datasets.</summary>
    public static async Task<NodeProcess> StartAsync(DemoDirectory directory, int index, CancellationToken cancellation)
    {
        var start = new ProcessStartInfo("dotnet") { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        string[] arguments =
        [
            typeof(NodeProcess).Assembly.Location, "node",
            "--data-directory", directory.DataDirectory(index),
            "--cluster-directory", directory.ClusterDirectory,
            "--cluster-key-file", directory.KeyFile,
            "--medium", directory.Medium.ToString(),
        ];
        foreach (var argument in arguments)
            start.ArgumentList.Add(argument);
        var process = Process.Start(start) ?? throw new DemoException("The program dotnet did not start.");
        var node = new NodeProcess(directory, index, process);
        try
        {
            await node.WaitUntilReadyAsync(cancellation).ConfigureAwait(false);
            return node;
        }
        catch
        {
            await node.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>SIGKILL: the process gets no chance to hand over, flush or say goodbye.</summary>
    public async Task KillAsync()
    {
        _process.Kill();
        await _process.WaitForExitAsync().ConfigureAwait(false);
    }

    /// <summary>Lets the node drain and leave; one that does not within the time is killed.</summary>
    public async ValueTask DisposeAsync()
    {
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
                await KillAsync().ConfigureAwait(false);
            }
        }

        await _logging.ConfigureAwait(false);
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
                throw new DemoException($"{Name} ended while it was starting. {await LastLinesAsync().ConfigureAwait(false)}");
            Id = line.Split(' ') is [NodeHost.ReadyWord, var id] ? NodeId.Parse(id) : throw new DemoException($"{Name} said '{line}' instead of being ready.");
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            _process.Kill();
            throw new DemoException($"{Name} was not ready within {s_startTimeout.TotalSeconds:0} s. {await LastLinesAsync().ConfigureAwait(false)}");
        }
    }

    private async Task<string> LastLinesAsync()
    {
        await _process.WaitForExitAsync().ConfigureAwait(false);
        await _logging.ConfigureAwait(false);
        return "The end of its log:\n" + string.Join('\n', File.ReadLines(_directory.LogFile(_index)).TakeLast(20));
    }

    private static async Task AppendAsync(StreamReader from, string path)
    {
        await using var log = new StreamWriter(path, append: true) { AutoFlush = true };
        while (await from.ReadLineAsync().ConfigureAwait(false) is { } line)
            await log.WriteLineAsync(line).ConfigureAwait(false);
    }
}
