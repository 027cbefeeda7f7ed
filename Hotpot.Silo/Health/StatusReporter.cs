using System.Text.Json;
using Hotpot.Grains.Node;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Hotpot.Silo;

/// <summary>What status.json and the health endpoint say.</summary>
internal sealed record SiloStatusDocument(
    string State, int Pid, string Node, ulong Incarnation, string FabricAddress, string ActorHost, string Medium, bool Views);

/// <summary>
/// Follows the silo through its phases and keeps status.json in the data directory equal to the present one. The file is
/// replaced as a whole, so a reader sees the old or the new one; after a crash it keeps the last phase reached, and its pid is dead.
/// </summary>
internal sealed partial class StatusReporter(
    SiloState state, Engine engine, IHotpotNode node, IOptions<HotpotOptions> options, ILogger<StatusReporter> logger) : IHostedLifecycleService, IDisposable
{
    public const string FileName = "status.json";

    private readonly CancellationTokenSource _stopping = new();

    // Written by StartedAsync only, read by StoppedAsync.
    private Task _becomingReady = Task.CompletedTask;

    public Task StartingAsync(CancellationToken cancellationToken) => WriteAsync(cancellationToken);

    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StartedAsync(CancellationToken cancellationToken)
    {
        _becomingReady = BecomeReadyAsync();
        return Task.CompletedTask;
    }

    public async Task StoppingAsync(CancellationToken cancellationToken)
    {
        await _stopping.CancelAsync();
        await _becomingReady;
        if (state.MoveTo(SiloPhase.Draining))
            await WriteAsync(CancellationToken.None);
        LogDraining();
    }

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public async Task StoppedAsync(CancellationToken cancellationToken)
    {
        if (state.MoveTo(SiloPhase.Stopped))
            await WriteAsync(CancellationToken.None);
        LogStopped();
    }

    public void Dispose() => _stopping.Dispose();

    public static SiloStatusDocument Describe(SiloPhase phase, Engine engine, HotpotOptions options) => new(
        phase.ToString().ToLowerInvariant(), Environment.ProcessId, engine.NodeId.ToString(), engine.Incarnation.Value,
        engine.Info.FabricAddress, HotpotClustering.HostName, options.Medium.ToString().ToLowerInvariant(), engine.Info.Userfaultfd);

    public static byte[] Serialize(SiloStatusDocument document) => JsonSerializer.SerializeToUtf8Bytes(document, s_json);

    private static readonly JsonSerializerOptions s_json = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower, WriteIndented = true };

    private async Task BecomeReadyAsync()
    {
        try
        {
            await node.Ready.WaitAsync(_stopping.Token);
        }
        catch (OperationCanceledException) when (_stopping.IsCancellationRequested)
        {
            return;
        }
        catch (Exception failure)
        {
            LogNotReady(failure);
            if (state.MoveTo(SiloPhase.Failed))
                await WriteAsync(CancellationToken.None);
            return;
        }
        if (state.MoveTo(SiloPhase.Ready))
        {
            await WriteAsync(CancellationToken.None);
            LogReady(engine.NodeId);
        }
    }

    private async Task WriteAsync(CancellationToken cancellationToken)
    {
        string path = Path.Combine(options.Value.DataDirectory, FileName);
        string fresh = path + ".new";
        try
        {
            await File.WriteAllBytesAsync(fresh, Serialize(Describe(state.Phase, engine, options.Value)), cancellationToken);
            File.Move(fresh, path, overwrite: true);
        }
        catch (IOException failure)
        {
            // A full disk must not end a silo that still serves reads; the file is only for people and scripts.
            LogNotWritten(failure, path);
        }
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Node {Node} is ready.")]
    private partial void LogReady(NodeId node);

    [LoggerMessage(Level = LogLevel.Error, Message = "The node did not become ready; stop the silo, remove the cause, and start it again.")]
    private partial void LogNotReady(Exception failure);

    [LoggerMessage(Level = LogLevel.Information, Message = "The silo stops: it hands over what it can, and flushes.")]
    private partial void LogDraining();

    [LoggerMessage(Level = LogLevel.Information, Message = "The silo has stopped.")]
    private partial void LogStopped();

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Path} could not be written, so it shows an earlier state of the silo.")]
    private partial void LogNotWritten(Exception failure, string path);
}
