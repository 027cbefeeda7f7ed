using Hotpot.Grains.Membership;
using Hotpot.Grains.Node;
using Microsoft.Extensions.Logging;

namespace Hotpot.Grains.Dataset;

// The configuration authority of one dataset. This file: state, storing, installing, reading. Its operations are in the partial files
// beside it: Assign, Membership, Recovery, Restore.
//
// Problem: every node acts on a chunk map, and two nodes that act on different maps can lose a commit or serve an old page. So a change must be
// decided once, survive this grain, and be known to every node that has the dataset open before anyone may rely on it.
//
// Scheme: every change goes through three gates, in this order.
//   1. decide   pure functions (ConfigurationDecision, RecoveryDecision) make the next entries; epochs only grow
//   2. store    one write under the storage's ETag; a second activation that tries the same loses with InconsistentStateException
//   3. confirm  the entries are installed on every member that is not dead; only then does _published show them. A new epoch is installed twice: as
//               RECOVERING on every member, and then as what it is. Members act on what they have installed, so if an epoch were served at once by those that have
//               it, a commit could be acknowledged while a member that still has the epoch before reads what it cached in it (or zeros).
// A member confirms by answering; a member that does not answer is asked again until it does or the membership says that it is dead. Nothing is
// believed about a node that is merely silent.
//
// Crash between store and confirm: the next activation does not know which entries were confirmed, so it holds all of them for unconfirmed and installs them
// again (nodes ignore what they have). Until then readers get BusyException instead of a map that some member may not have.
//
// Turns: calls that change something do not interleave (the grain is not reentrant), so the fields below belong to one call at a time.
// Reads are [AlwaysInterleave] and touch only _published, which is replaced whole.
//
// A second activation, with a state that is out of date (a silo that slept through its own death; on Orleans, silos that disagree about the membership): its
// writes fail by their ETags. What it says without writing is made safe by three things:
//   - a chunk entry that is old is recognised by its epoch wherever it is used: nodes take only newer ones, owners and replicas refuse requests of old epochs.
//     So GetMapAsync answers from memory, and the worst is that a node hears of a change later, from the other activation;
//   - where an old answer would be believed, the stored record is looked at first (EnsureCurrentAsync): that a dataset does not exist; the entries by which another
//     dataset's recovery finds the replicas to ask; that a death or a departure needs no change; the work of MaintainAsync;
//   - an activation that finds that another one has changed the record ends, and the next one reads what is true.
//
// Invariants:
//   1. _map equals what is stored, or this activation is going down, at the latest when it next writes or looks (CheckStoredAsync);
//   2. _published is _map minus what is unconfirmed: an entry in it is installed on every member that is not dead;
//   3. an entry is replaced only by a newer one (ConfigurationDecision.IsNewer; ChunkMap.With asserts it).
//
// Potential weakness: a member whose disk refuses a new epoch holds up every change of the dataset until it is stopped; serving old
// pages there would be worse.
internal sealed partial class DatasetGrain(
    [PersistentState(DatasetGrain.Record, HotpotGrainsOptions.StorageName)] IPersistentState<DatasetState> state,
    [PersistentState(DatasetGrain.Record, HotpotGrainsOptions.StorageName)] IPersistentState<DatasetState> looked,
    IClusterView cluster, NodeLifetime lifetime, TimeProvider time, ILogger<DatasetGrain> logger)
    : Grain, IDatasetGrain
{
    private const string Record = "dataset";

    private static readonly TimeSpan InstallRetryDelay = TimeSpan.FromMilliseconds(50);

    /// <summary>One read of the storage for each dataset and interval, however many nodes ask for maintenance.</summary>
    private static readonly TimeSpan StoredCheckInterval = TimeSpan.FromSeconds(5);

    // Both are written by the turns of changing calls only.
    private ChunkMap _map = ChunkMap.Empty(0);
    private HashSet<ChunkIndex> _unconfirmed = [];

    // Of these, the ones whose epoch some member may not have yet.
    private HashSet<ChunkIndex> _unfenced = [];

    // When CheckStoredAsync reads next. Written by the turns of changing calls only.
    private DateTimeOffset _checkDue;

    // The record is being written, so that another version of it than this activation knows proves nothing. Written by StoreAsync.
    private bool _storing;

    // One look at the stored record at a time. `looked` is for looks alone: they interleave with writes of `state`.
    private readonly SemaphoreSlim _looking = new(1, 1);

    // Written by the turns of changing calls, read by interleaved reads; null until the stored map has been confirmed once.
    private ChunkMap? _published;

    private DatasetId Id => DatasetId.Parse(this.GetPrimaryKeyString());

    private DatasetDescription Description =>
        state.State is { IsDropped: false, Description: { } description } ? description : throw DatasetNotFoundException.WithId(Id);

    private IEnumerable<MemberRecord> Members => state.State.Members.Where(member => member.Phase != MemberPhase.Dead);

    public override Task OnActivateAsync(CancellationToken cancellationToken)
    {
        if (state.State.Description is { } description && !state.State.IsDropped)
        {
            _map = state.State.Map.Length == 0
                ? ChunkMap.Empty(description.ChunkCount)
                : ChunkMapCodec.Decode(state.State.Map, description.ChunkCount);
            _unconfirmed = [.. _map.Assigned.Select(entry => entry.Chunk)];
            _unfenced = [.. _unconfirmed];
            if (_unconfirmed.Count == 0)
                _published = _map;
        }
        return Task.CompletedTask;
    }

    public async Task InitializeAsync(DatasetDescription description)
    {
        await AdoptAsync(description);
        // Every node that answers is a member from the start, so that the first commit finds enough of them for its degree. One that
        // does not answer joins on its own before it uses the dataset.
        NodeIdentity?[] opened = await Task.WhenAll(cluster.Current.Live.Keys.Select(OpenOnAsync));
        foreach (NodeIdentity node in opened.OfType<NodeIdentity>())
            await NodeJoinedAsync(description, node);

        async Task<NodeIdentity?> OpenOnAsync(NodeId node)
        {
            try
            {
                return await GrainFactory.NodeGrain(node).OpenDatasetAsync(description);
            }
            catch (Exception error) when (TransientErrors.MayPass(error))
            {
                LogOpenFailed(error, description.Name, node);
                return null;
            }
        }
    }

    public async Task DropAsync()
    {
        if (!state.State.IsDropped)
        {
            DatasetState next = state.State.Copy();
            next.IsDropped = true;
            next.Map = [];
            await StoreAsync(next);
            _map = ChunkMap.Empty(0);
            _unconfirmed = [];
            _unfenced = [];
            _published = _map;
        }
        // Again each time: a node on which it was still mapped has refused, and its user has been told to try again.
        NodeId[] members = [.. Members.Select(member => member.Node)];
        await Task.WhenAll(members.Concat(cluster.Current.Live.Keys).Distinct().Select(node =>
            CallMemberAsync(node, grain => grain.DropDatasetAsync(Id))));
    }

    public async Task<ChunkMapPage> GetMapAsync(ulong sinceVersion, ChunkIndex from)
    {
        await EnsureExistsAsync();
        return Published().Page(sinceVersion, from);
    }

    public async Task<ChunkEntry[]> GetEntriesAsync(ChunkIndex[] chunks)
    {
        await EnsureCurrentAsync();
        ChunkMap map = Published();
        return [.. chunks.Select(chunk => map[chunk]).OfType<ChunkEntry>()];
    }

    public async Task<DatasetHealth> GetHealthAsync()
    {
        if (!Exists)
            await EnsureCurrentAsync();
        return Health(workLeft: false);
    }

    private bool Exists => state.State is { IsDropped: false, Description: not null };

    /// <summary>Throws when the dataset does not exist; looks at what is stored before it says so.</summary>
    private async Task EnsureExistsAsync()
    {
        if (Exists)
            return;
        await EnsureCurrentAsync();
        throw DatasetNotFoundException.WithId(Id);
    }

    /// <summary>Throws, and ends this activation, when another one has changed what is stored.</summary>
    private async Task EnsureCurrentAsync()
    {
        string? before = state.Etag;
        string? stored;
        await _looking.WaitAsync();
        try
        {
            await looked.ReadStateAsync();
            stored = looked.Etag;
            // Only the ETag is wanted; a large map would be held twice.
            looked.State = new DatasetState();
        }
        finally
        {
            _looking.Release();
        }
        if (stored == before || stored == state.Etag || _storing)
            return;
        DeactivateOnIdle();
        LogOvertaken(Id);
        throw new BusyException($"Dataset {Id} was changed by another activation of its grain, so this one ends; call again.");
    }

    private ChunkMap Published()
    {
        DatasetDescription description = Description;
        return _published ?? throw new BusyException($"The chunk map of dataset '{description.Name}' is being confirmed after a restart; try again shortly.");
    }

    /// <summary>The first description that arrives is the dataset's, for ever.</summary>
    private async Task AdoptAsync(DatasetDescription description)
    {
        if (state.State.IsDropped)
            throw DatasetNotFoundException.WithId(description.Id);
        if (state.State.Description is { } known)
        {
            if (known != description)
                throw new DatasetMismatchException($"Dataset {description.Id} is known here as '{known.Name}' with other properties; open it by its name.");
            return;
        }
        DatasetState next = state.State.Copy();
        next.Description = description;
        await StoreAsync(next);
        _map = _published = ChunkMap.Empty(description.ChunkCount);
    }

    /// <summary>The three gates: the entries are decided, this stores and confirms them, together with what else changed.</summary>
    private async Task ChangeAsync(IReadOnlyCollection<ChunkEntry> changes, Action<DatasetState>? alsoChange = null)
    {
        DatasetState next = state.State.Copy();
        alsoChange?.Invoke(next);
        ChunkMap map = changes.Count == 0 ? _map : _map.With(changes);
        if (changes.Count > 0)
            next.Map = ChunkMapCodec.Encode(map);
        await StoreAsync(next);
        CrashPoint.Hit(CrashPoint.AfterStore);
        _unfenced.UnionWith(changes.Where(change => _map[change.Chunk]?.Epoch != change.Epoch).Select(change => change.Chunk));
        _map = map;
        _unconfirmed.UnionWith(changes.Select(change => change.Chunk));
        await ConfirmAsync();
    }

    private async Task StoreAsync(DatasetState next)
    {
        state.State = next;
        _storing = true;
        try
        {
            await state.WriteStateAsync();
        }
        catch (Exception)
        {
            // Whether the write happened is unknown. This activation must not act on either state; the next one reads what is true.
            DeactivateOnIdle();
            throw;
        }
        finally
        {
            _storing = false;
        }
    }

    /// <summary>Installs what is not known to be installed everywhere, then publishes it.</summary>
    private async Task ConfirmAsync()
    {
        if (_unconfirmed.Count > 0)
        {
            ChunkEntry[] fences =
            [
                .. _unfenced.Order().Select(chunk => _map[chunk]!).Where(entry => entry.Phase == ChunkPhase.Active)
                    .Select(entry => entry with { Phase = ChunkPhase.Recovering }),
            ];
            if (fences.Length > 0)
                await InstallOnMembersAsync(fences);
            _unfenced.Clear();
            await InstallOnMembersAsync([.. _unconfirmed.Order().Select(chunk => _map[chunk]!)]);
            _unconfirmed.Clear();
        }
        _published = _map;
    }

    /// <summary>
    /// Another activation may have written since this one read: one that was thought to be over, with a call still running. Whoever writes learns of it by the
    /// ETag; an activation that sees no work to do would never write, and act on an old map for ever.
    /// </summary>
    private async Task CheckStoredAsync()
    {
        if (time.GetUtcNow() < _checkDue)
            return;
        _checkDue = time.GetUtcNow() + StoredCheckInterval;
        await EnsureCurrentAsync();
    }

    private Task InstallOnMembersAsync(ChunkEntry[] entries) =>
        Task.WhenAll(Members.Select(member => InstallAsync(member.Node, member.Incarnation, entries)));

    /// <summary>Another life of the node than the member has not joined yet: it takes the whole map when it does, as one that has not opened the dataset.</summary>
    private async Task InstallAsync(NodeId node, Incarnation incarnation, IEnumerable<ChunkEntry> entries)
    {
        foreach (ChunkEntry[] batch in entries.Chunk(ChunkMapPage.MaxEntries))
        {
            PackedEntries packed = PackedEntries.Of(batch);
            await CallMemberAsync(node, grain => grain.InstallMapAsync(Id, incarnation, packed));
        }
    }

    /// <summary>Calls a member until it has answered, or it has no need to: it is dead, or it is a new life that has not joined yet.</summary>
    private async Task CallMemberAsync(NodeId node, Func<INodeGrain, Task> call)
    {
        while (true)
        {
            try
            {
                await call(GrainFactory.NodeGrain(node));
                return;
            }
            catch (DatasetNotFoundException)
            {
                // A life of the node that has not opened the dataset: it takes the whole map when it joins.
                return;
            }
            catch (Exception error) when (TransientErrors.MayPass(error))
            {
                ClusterNodes nodes = await cluster.RefreshAsync(CancellationToken.None);
                if (nodes.IsGone(node))
                    return;
                // Nobody answers a silo that was declared dead.
                if (lifetime.IsFenced)
                    throw lifetime.Refusal();
                LogMemberSilent(error, node, Id);
            }
            await Task.Delay(InstallRetryDelay, time);
        }
    }

    private DatasetHealth Health(bool workLeft)
    {
        if (!Exists)
            return new DatasetHealth();
        DatasetDescription description = Description;
        ChunkMapCounts counts = _map.Counts;
        return new DatasetHealth
        {
            MapVersion = _map.Version,
            Chunks = description.ChunkCount,
            Assigned = counts.Assigned,
            Recovering = counts.Recovering,
            Waiting = counts.Waiting,
            Joining = counts.Joining,
            ReplicasMissing = counts.Missing(description.Degree),
            Members = [.. Members.Select(member => member.Node)],
            WorkLeft = workLeft,
        };
    }

    [LoggerMessage(LogLevel.Warning, "Dataset '{Dataset}' could not be opened on node {Node}; the node joins later by itself.")]
    private partial void LogOpenFailed(Exception error, string dataset, NodeId node);

    [LoggerMessage(LogLevel.Warning, "Dataset {Dataset} was changed by another activation of its grain; this one ends, and the next call reads what is stored.")]
    private partial void LogOvertaken(DatasetId dataset);

    [LoggerMessage(LogLevel.Debug, "Node {Node} has not confirmed a change of dataset {Dataset}; it is asked again.")]
    private partial void LogMemberSilent(Exception error, NodeId node, DatasetId dataset);
}
