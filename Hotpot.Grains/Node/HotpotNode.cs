using System.Threading.Channels;
using Hotpot.Grains.Acquire;
using Hotpot.Grains.Commit;
using Hotpot.Grains.Membership;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Hotpot.Grains.Node;

// This silo as a node: it keeps the engine's peers in step with the membership, joins every dataset, and sees to it that what the dataset grains have to do
// gets done.
//
// Start:  when the silo is active, its loops begin.
//   peers        each membership change: new lives are asked who they are and given to the engine; dead ones are taken from it, reported to every
//                dataset grain and to the owners of grants
//   join         every dataset of the namespace is opened and joined; Ready completes with that
//   maintenance  after each change, and now and then, MaintainAsync of every dataset until it says that nothing is left. Every node does it; the grain
//                is idempotent and a call without work costs little
//   migration    now and then, chunks that another node uses much more than all others are offered to it
// Stop:   commits drain, then ownership is handed over while this silo is still an active member, then the loops end (NodeLifetime). The engine is
//         closed by whoever created it, after the silo.
// Fenced: a loop of its own watches for this silo's own death in the membership. Nothing is drained or handed over then, since nothing of it could succeed; the
//         loops and everything that waits on this node end at once, and the actor host stops the silo.
//
// Invariant: a life of a peer is given to the engine at most once, and never after a later life of the same node.
internal sealed partial class HotpotNode : IHotpotNode, ILifecycleParticipant<ISiloLifecycle>, IAsyncDisposable
{
    private static readonly TimeSpan RetryDelay = TimeSpan.FromMilliseconds(100);

    private readonly Lazy<Engine> _native;
    private readonly INodeEngine _engine;
    private readonly IGrainFactory _grains;
    private readonly DatasetRegistry _datasets;
    private readonly Committer _committer;
    private readonly Acquirer _acquirer;
    private readonly ChunkMigrator _migrator;
    private readonly IClusterView _cluster;
    private readonly ILocalSiloDetails _silo;
    private readonly NodeLifetime _lifetime;
    private readonly HotpotGrainsOptions _options;
    private readonly TimeProvider _time;
    private readonly ILogger<HotpotNode> _logger;

    private readonly TaskCompletionSource _ready = new(TaskCreationOptions.RunContinuationsAsynchronously);

    // A full channel means that a round is due anyway, so one place is enough.
    private readonly Channel<bool> _maintenance = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });

    // Written by the peers loop only.
    private readonly Dictionary<NodeId, Peer> _peers = [];

    // Deaths that a dataset grain has not heard of yet. Filled by the peers loop, emptied by the maintenance loop.
    private readonly System.Collections.Concurrent.ConcurrentQueue<(LocalDataset Dataset, NodeIdentity Dead)> _unreported = new();

    // Written by OnStart, before anyone awaits it.
    private Task _loops = Task.CompletedTask;

    // Written once, by the first DisposeAsync.
    private int _disposed;

    public HotpotNode(
        IServiceProvider services, INodeEngine engine, IGrainFactory grains, DatasetRegistry datasets, Committer committer, Acquirer acquirer,
        IClusterView cluster, ILocalSiloDetails silo, NodeLifetime lifetime, IOptions<HotpotGrainsOptions> options, TimeProvider time, ILogger<HotpotNode> logger)
    {
        // Lazy, so that tests of the protocols can run this class on an engine of their own.
        _native = new Lazy<Engine>(() => (Engine)services.GetService(typeof(Engine))!);
        _engine = engine;
        _grains = grains;
        _datasets = datasets;
        _committer = committer;
        _acquirer = acquirer;
        _migrator = new ChunkMigrator(engine, grains);
        _cluster = cluster;
        _silo = silo;
        _lifetime = lifetime;
        _options = options.Value;
        _time = time;
        _logger = logger;
    }

    /// <summary>One life of another node, as the engine knows it.</summary>
    private sealed record Peer(SiloAddress Silo, NodeIdentity Identity);

    public NodeIdentity Identity => _engine.Identity;

    public Engine Engine => _native.Value;

    public ICommitter Committer => _committer;

    public IAcquirer Acquirer => _acquirer;

    public Task Ready => _ready.Task;

    public async Task<DatasetDescription> OpenAsync(string name, CancellationToken cancellationToken)
    {
        DatasetDescription description = await _lifetime.RunAsync(
            ending => TransientErrors.RepeatAsync(() => _grains.NamespaceGrain().FindAsync(name), _time, ending), cancellationToken)
            ?? throw DatasetNotFoundException.Named(name);
        return (await _datasets.JoinAsync(description, cancellationToken)).Description;
    }

    public async Task<DatasetDescription> OpenAsync(DatasetId dataset, CancellationToken cancellationToken) =>
        (await _datasets.OpenAsync(dataset, cancellationToken)).Description;

    public NodeId OwnerOf(DatasetId dataset, ChunkIndex chunk) => _datasets.Get(dataset).Map.Find(chunk)?.Owner ?? NodeId.None;

    public void Participate(ISiloLifecycle lifecycle) =>
        lifecycle.Subscribe(nameof(HotpotNode), ServiceLifecycleStage.Active, OnStart, OnStop);

    public async ValueTask DisposeAsync()
    {
        // A container disposes an object once for each service that it is registered as.
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
            return;
        await StopLoopsAsync();
    }

    private Task OnStart(CancellationToken cancellationToken)
    {
        _loops = Task.WhenAll(
            Task.Run(WatchSelfAsync, CancellationToken.None), Task.Run(WatchPeersAsync, CancellationToken.None),
            Task.Run(JoinAllAsync, CancellationToken.None), Task.Run(MaintainAsync, CancellationToken.None),
            Task.Run(MigrateAsync, CancellationToken.None));
        return Task.CompletedTask;
    }

    private async Task OnStop(CancellationToken cancellationToken)
    {
        // The loop that watches may not have had its turn yet.
        FenceIfDead(_cluster.Current);
        // Each has a time of its own: commits that do not drain must not keep this node from giving its chunks away.
        if (await WithinAsync(_options.DrainTimeout, _committer.DrainAsync, cancellationToken) is { } undrained)
            LogNotDrained(undrained, _options.DrainTimeout);
        if (await WithinAsync(_options.HandOverTimeout, HandOverAsync, cancellationToken) is { } kept)
            LogNotHandedOver(kept, _options.HandOverTimeout);
        await StopLoopsAsync();
    }

    /// <summary>Returns what kept the step from its end. Stopping goes on all the same: the others find this node gone and fail over, which takes longer and loses nothing.</summary>
    private async Task<Exception?> WithinAsync(TimeSpan time, Func<CancellationToken, Task> step, CancellationToken cancellationToken)
    {
        if (_lifetime.IsFenced)
            return null;
        using CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, _lifetime.Fenced);
        limit.CancelAfter(time);
        try
        {
            await step(limit.Token);
            return null;
        }
        catch (Exception error)
        {
            // A fenced node has said so, and has nothing left to give away.
            return _lifetime.IsFenced ? null : error;
        }
    }

    private async Task StopLoopsAsync()
    {
        _lifetime.End();
        await _loops;
        _ready.TrySetException(_lifetime.Refusal());
    }

    private async Task HandOverAsync(CancellationToken cancellationToken)
    {
        foreach (LocalDataset dataset in _datasets.All)
        {
            IDatasetGrain grain = _grains.DatasetGrain(dataset.Description.Id);
            await RepeatAsync(() => grain.HandOverAsync(Identity.Node, Identity.Incarnation));
            // Handed over when the new owners serve: until then this node is still needed as a source.
            DatasetHealth health = new();
            do
            {
                await RepeatAsync(async () => health = await grain.MaintainAsync());
            }
            while (health.WorkLeft && health.Recovering > health.Waiting);
        }

        Task RepeatAsync(Func<Task> call) => TransientErrors.RepeatAsync(
            async () =>
            {
                await call();
                return true;
            },
            _time, cancellationToken);
    }

    // ---- its own death -------------------------------------------------------------------------------------------------

    private Task WatchSelfAsync() => UntilStoppedAsync(async () =>
    {
        await foreach (ClusterNodes nodes in _cluster.WatchAsync(_lifetime.Ending))
            FenceIfDead(nodes);
    });

    private void FenceIfDead(ClusterNodes nodes)
    {
        if (nodes.IsDead(Identity.Node, _silo.SiloAddress) && _lifetime.Fence())
            LogFenced(Identity.Node, Identity.Incarnation);
    }

    // ---- peers ---------------------------------------------------------------------------------------------------------

    private Task WatchPeersAsync() => UntilStoppedAsync(async () =>
    {
        await foreach (ClusterNodes nodes in _cluster.WatchAsync(_lifetime.Ending))
        {
            foreach ((NodeId node, Peer peer) in _peers.Where(pair => nodes.IsDead(pair.Key, pair.Value.Silo)).ToArray())
            {
                _peers.Remove(node);
                await ReportDeathAsync(peer.Identity);
            }
            foreach ((NodeId node, SiloAddress silo) in nodes.Live.Where(pair => pair.Key != Identity.Node && !_peers.ContainsKey(pair.Key)))
                await GreetAsync(node, silo);
            _maintenance.Writer.TryWrite(true);
        }
    });

    /// <summary>Learns who a new life is. Gives up when that life is over; the watch then reports the next one.</summary>
    private async Task GreetAsync(NodeId node, SiloAddress silo)
    {
        while (!_cluster.Current.IsDead(node, silo))
        {
            try
            {
                NodeIdentity identity = await _grains.NodeGrain(node).GetIdentityAsync().WaitAsync(_lifetime.Ending);
                if (identity.Protocol != NodeIdentity.CurrentProtocol)
                {
                    LogVersionMismatch(node, identity.Protocol, NodeIdentity.CurrentProtocol);
                    return;
                }
                _engine.SetPeer(identity);
                _peers[node] = new Peer(silo, identity);
                LogPeer(node, identity.Incarnation, identity.FabricAddress);
                return;
            }
            catch (Exception error) when (TransientErrors.MayPass(error))
            {
                LogGreetFailed(error, node);
            }
            await Task.Delay(RetryDelay, _time, _lifetime.Ending);
        }
    }

    private async Task ReportDeathAsync(NodeIdentity dead)
    {
        _engine.RemovePeer(dead.Node, dead.Incarnation);
        LogDead(dead.Node, dead.Incarnation);
        // Both rounds, because a report waits for a dataset grain, and what the dead held need not.
        LocalDataset[] datasets = [.. _datasets.All];
        foreach (LocalDataset dataset in datasets)
            dataset.Owned.HolderDied(dead.Node, dead.Incarnation);
        foreach (LocalDataset dataset in datasets)
            await ReportDeathAsync(dataset, dead);
    }

    /// <summary>
    /// Told until it is heard, although others tell it too: only after this node has cut the life off can everything be settled that it left here.
    /// </summary>
    private async Task ReportDeathAsync(LocalDataset dataset, NodeIdentity dead)
    {
        try
        {
            await _grains.DatasetGrain(dataset.Description.Id).NodeDiedAsync(dead.Node, dead.Incarnation).WaitAsync(_lifetime.Ending);
        }
        catch (Exception error) when (TransientErrors.MayPass(error))
        {
            _unreported.Enqueue((dataset, dead));
            LogReportFailed(error, dead.Node, dataset.Description.Name);
        }
    }

    // ---- datasets ------------------------------------------------------------------------------------------------------

    private Task JoinAllAsync() => UntilStoppedAsync(async () =>
    {
        try
        {
            foreach (DatasetDescription description in await _grains.NamespaceGrain().ListAsync().WaitAsync(_lifetime.Ending))
                await JoinAsync(description);
            _ready.TrySetResult();
            _maintenance.Writer.TryWrite(true);
        }
        catch (HotpotException error) when (!TransientErrors.MayPass(error))
        {
            // Another version, another dataset of the same id: time does not mend it, so whoever waits for this node is told.
            LogJoinFailed(error);
            _ready.TrySetException(error);
        }
    });

    private async Task JoinAsync(DatasetDescription description)
    {
        try
        {
            await _datasets.JoinAsync(description, _lifetime.Ending);
        }
        catch (DatasetNotFoundException)
        {
            // Removed since the list was made.
            LogRemovedMeanwhile(description.Name);
        }
    }

    private Task MaintainAsync() => UntilStoppedAsync(async () =>
    {
        while (true)
        {
            for (int left = _unreported.Count; left > 0 && _unreported.TryDequeue(out var report); left--)
                await ReportDeathAsync(report.Dataset, report.Dead);
            foreach (LocalDataset dataset in _datasets.All)
                await MaintainAsync(dataset);
            using CancellationTokenSource round = CancellationTokenSource.CreateLinkedTokenSource(_lifetime.Ending);
            Task<bool> signal = _maintenance.Reader.ReadAsync(round.Token).AsTask();
            await Task.WhenAny(signal, Task.Delay(_options.MaintenanceInterval, _time, round.Token));
            await round.CancelAsync();
            _lifetime.Ending.ThrowIfCancellationRequested();
        }
    });

    private async Task MaintainAsync(LocalDataset dataset)
    {
        try
        {
            IDatasetGrain grain = _grains.DatasetGrain(dataset.Description.Id);
            while ((await grain.MaintainAsync().WaitAsync(_lifetime.Ending)).WorkLeft)
                _lifetime.Ending.ThrowIfCancellationRequested();
        }
        catch (Exception error) when (TransientErrors.MayPass(error) || error is HotpotException)
        {
            // The next round does it again; the state that drives it is stored.
            LogMaintenanceFailed(error, dataset.Description.Name);
        }
    }

    private Task MigrateAsync() => UntilStoppedAsync(async () =>
    {
        while (_options.MigrationInterval > TimeSpan.Zero)
        {
            await Task.Delay(_options.MigrationInterval, _time, _lifetime.Ending);
            if (await _migrator.LookAsync(_datasets.All, _options.MigrationMinimumPages, _lifetime.Ending))
                _maintenance.Writer.TryWrite(true);
        }
    });

    /// <summary>
    /// Runs a loop until it returns or this node stops. No error ends it: without its loops a node would look alive and neither know its peers nor heal its
    /// datasets.
    /// </summary>
    private async Task UntilStoppedAsync(Func<Task> loop)
    {
        while (!_lifetime.Ending.IsCancellationRequested)
        {
            try
            {
                await loop();
                return;
            }
            catch (OperationCanceledException) when (_lifetime.Ending.IsCancellationRequested)
            {
                return;
            }
            catch (Exception error)
            {
                if (TransientErrors.MayPass(error))
                    LogLoopRepeated(error);
                else
                    LogLoopFailed(error);
            }
            await Task.WhenAny(Task.Delay(RetryDelay, _time, _lifetime.Ending));
        }
    }

    [LoggerMessage(LogLevel.Information, "Node {Node}, incarnation {Incarnation}, is up at {Address}.")]
    private partial void LogPeer(NodeId node, Incarnation incarnation, string address);

    [LoggerMessage(LogLevel.Warning, "Node {Node}, incarnation {Incarnation}, is dead; the others take over its chunks, so restart its silo to have the full degree again.")]
    private partial void LogDead(NodeId node, Incarnation incarnation);

    [LoggerMessage(LogLevel.Critical, "The others have declared this node, {Node}, incarnation {Incarnation}, dead; it gives up everything that waits and hands nothing over, so restart its process.")]
    private partial void LogFenced(NodeId node, Incarnation incarnation);

    [LoggerMessage(LogLevel.Error, "Node {Node} speaks protocol {Theirs} and this node {Ours}, so it is not connected; install the same version on both.")]
    private partial void LogVersionMismatch(NodeId node, uint theirs, uint ours);

    [LoggerMessage(LogLevel.Debug, "Node {Node} did not say who it is; it is asked again.")]
    private partial void LogGreetFailed(Exception error, NodeId node);

    [LoggerMessage(LogLevel.Warning, "The death of node {Node} could not be reported to dataset '{Dataset}'; it is reported again by itself.")]
    private partial void LogReportFailed(Exception error, NodeId node, string dataset);

    [LoggerMessage(LogLevel.Information, "Dataset '{Dataset}' was removed while this node started, so it is not joined.")]
    private partial void LogRemovedMeanwhile(string dataset);

    [LoggerMessage(LogLevel.Error, "This node could not join its datasets; remove the cause and restart its silo.")]
    private partial void LogJoinFailed(Exception error);

    [LoggerMessage(LogLevel.Debug, "Maintenance of dataset '{Dataset}' did not finish; it is repeated.")]
    private partial void LogMaintenanceFailed(Exception error, string dataset);

    [LoggerMessage(LogLevel.Debug, "A loop of this node met an error that passes and begins again.")]
    private partial void LogLoopRepeated(Exception error);

    [LoggerMessage(LogLevel.Error, "A loop of this node met an error that it did not expect and begins again; report it with this node's log.")]
    private partial void LogLoopFailed(Exception error);

    [LoggerMessage(LogLevel.Warning, "The commits of this node did not end within {Limit}; it stops without them, so read what they wrote on another node before you repeat them.")]
    private partial void LogNotDrained(Exception error, TimeSpan limit);

    [LoggerMessage(LogLevel.Warning, "This node did not hand its chunks over within {Limit}; the others take them by fail-over, so wait for their full degree before you stop another node.")]
    private partial void LogNotHandedOver(Exception error, TimeSpan limit);
}
