using Hotpot.Grains;
using Hotpot.Grains.Dataset;
using Hotpot.Grains.Node;

namespace Hotpot.Tests.Grains.Cluster;

/// <summary>
/// An engine that keeps the contract of hotpot.h towards grains, in memory: configurations, staging, prepare on all replicas, commit, abort, outcomes, settling,
/// synchronising. It moves bytes of chunks at once and has no pages, views or faults.
/// </summary>
internal sealed class FakeEngine : INodeEngine
{
    private readonly FakeFabric _fabric;
    private readonly FakeDisk _disk;
    private readonly Dictionary<(DatasetId, ChunkIndex), ChunkEntry> _map = [];
    private readonly Dictionary<NodeId, Incarnation> _peers = [];
    private readonly Dictionary<(TransactionId, DatasetId), FakeRecord> _staged = [];
    private readonly HashSet<(TransactionId, DatasetId)> _owned = [];
    private readonly Dictionary<DatasetId, SortedDictionary<long, byte[]>> _stores = [];
    private ulong _counter;

    public FakeEngine(FakeFabric fabric, FakeDisk disk)
    {
        _fabric = fabric;
        _disk = disk;
        disk.Incarnation++;
        Identity = new NodeIdentity { Node = disk.Node, Incarnation = new Incarnation(disk.Incarnation), FabricAddress = $"fake:{disk.Node}" };
        fabric.Attach(this);
    }

    public NodeIdentity Identity { get; }

    // Written by the test, between the steps of the protocol.
    public bool IsAlive { get; set; } = true;

    /// <summary>What every look at the uses of this node's chunks finds. Written by the test.</summary>
    public ChunkUse[] Uses { get; set; } = [];

    public int Looks { get; private set; }

    public ChunkUse[] TakeUsage(DatasetId dataset)
    {
        lock (_fabric.Turn)
        {
            Looks++;
            return
            [
                .. Uses.Where(use => _map.TryGetValue((dataset, use.Chunk), out ChunkEntry? entry) && entry.Owner == Self)
                    .Select(use => use with { Epoch = Entry(dataset, use.Chunk).Epoch }),
            ];
        }
    }

    private NodeId Self => Identity.Node;

    public bool Knows(NodeIdentity peer) => _peers.TryGetValue(peer.Node, out Incarnation incarnation) && incarnation == peer.Incarnation;

    /// <summary>A store of the application to its mapping.</summary>
    public void Store(DatasetId dataset, long offset, byte[] bytes)
    {
        lock (_fabric.Turn)
        {
            if (!_stores.TryGetValue(dataset, out SortedDictionary<long, byte[]>? stores))
                _stores[dataset] = stores = [];
            stores[offset] = bytes;
        }
    }

    public FakeChunk? Durable(DatasetId dataset, ChunkIndex chunk)
    {
        lock (_fabric.Turn)
            return _disk.Chunks.GetValueOrDefault((dataset, chunk));
    }

    public void SetPeer(NodeIdentity peer)
    {
        lock (_fabric.Turn)
            _peers[peer.Node] = peer.Incarnation;
    }

    public void RemovePeer(NodeId node, Incarnation incarnation)
    {
        lock (_fabric.Turn)
        {
            if (_peers.TryGetValue(node, out Incarnation known) && known == incarnation)
                _peers.Remove(node);
            foreach ((TransactionId, DatasetId) key in _staged.Keys.Where(key => key.Item1.Node == node && key.Item1.Incarnation == incarnation).ToArray())
                _staged.Remove(key);
        }
    }

    public void OpenDataset(DatasetDescription description)
    {
        lock (_fabric.Turn)
            _disk.Datasets[description.Id] = description;
    }

    public void DropDataset(DatasetId dataset)
    {
        lock (_fabric.Turn)
        {
            if (!_disk.Datasets.Remove(dataset))
                throw DatasetNotFoundException.WithId(dataset);
            foreach ((DatasetId, ChunkIndex) key in _disk.Chunks.Keys.Where(key => key.Dataset == dataset).ToArray())
                _disk.Chunks.Remove(key);
        }
    }

    public Task ApplyMapAsync(DatasetId dataset, IReadOnlyList<ChunkEntry> entries)
    {
        lock (_fabric.Turn)
        {
            CheckAlive();
            foreach (ChunkEntry entry in entries)
                Adopt(dataset, entry);
        }
        return Task.CompletedTask;
    }

    private void Adopt(DatasetId dataset, ChunkEntry entry)
    {
        if (_map.TryGetValue((dataset, entry.Chunk), out ChunkEntry? known) && !ConfigurationDecision.IsNewer(known, entry))
            return;
        _map[(dataset, entry.Chunk)] = entry;
        FakeChunk? chunk = _disk.Chunks.GetValueOrDefault((dataset, entry.Chunk));
        Epoch before = known?.Epoch ?? chunk?.Epoch ?? default;
        bool replica = entry.Holds(Self), joining = entry.IsJoining(Self);
        if (before != entry.Epoch)
        {
            // Staged transactions of the old epoch end here; prepared ones are settled.
            foreach (var key in _staged.Where(pair => pair.Key.Item2 == dataset && pair.Value.Parts.Any(part => part.Chunk == entry.Chunk)).Select(pair => pair.Key).ToArray())
                _staged.Remove(key);
        }
        if (replica && chunk is not { Held: true })
            _disk.Chunks[(dataset, entry.Chunk)] = chunk = new FakeChunk(_disk.Datasets[dataset].ChunkBytes)
            {
                Held = true,
                Complete = before.Value == 0 && entry.Epoch == Epoch.First && !joining,
            };
        else if (replica && joining && before != entry.Epoch)
            chunk!.Complete = false;
        else if (!replica && chunk is not null)
            _disk.Chunks.Remove((dataset, entry.Chunk));
        if (chunk is not null)
            chunk.Epoch = entry.Epoch;
    }

    /// <summary>What <see cref="CloseGates"/> says.</summary>
    public int DirectUnderWay { get; set; }

    public HashSet<(DatasetId, ChunkIndex)> OpenGatesOf { get; } = [];

    public bool OpenGate(DatasetId dataset, ChunkIndex chunk, Epoch epoch)
    {
        OpenGatesOf.Add((dataset, chunk));
        return true;
    }

    public int CloseGates(DatasetId dataset)
    {
        OpenGatesOf.RemoveWhere(gate => gate.Item1 == dataset);
        return DirectUnderWay;
    }

    public INodeTransaction CreateTransaction()
    {
        lock (_fabric.Turn)
            return new FakeTransaction(this, new TransactionId(Self, _disk.Incarnation << 40 | ++_counter));
    }

    public async ValueTask<Completion> PrepareAsync(TransactionId transaction, DatasetId dataset, bool failOnConflict, int minimumDegree, TimeSpan timeout)
    {
        await _fabric.AtPoint("prepare.before", Self);
        Completion completion;
        lock (_fabric.Turn)
            completion = IsAlive ? Prepare(transaction, dataset, minimumDegree) : Failed(HotpotStatus.Closed);
        await _fabric.AtPoint("prepare.after", Self);
        return completion;
    }

    private Completion Prepare(TransactionId transaction, DatasetId dataset, int minimumDegree)
    {
        var key = (transaction, dataset);
        if (_disk.Outcomes.TryGetValue(key, out TransactionOutcome known))
            return known == TransactionOutcome.Committed ? Done(0) : Failed(HotpotStatus.Refused);
        if (_owned.Contains(key))
            return Done(Degree(_disk.Pending[(transaction, dataset, Self)]));
        if (!_staged.TryGetValue(key, out FakeRecord? record))
        {
            _disk.Outcomes[key] = TransactionOutcome.Aborted;
            return Failed(HotpotStatus.NotFound);
        }
        if (CheckParts(record) is var status and not HotpotStatus.Ok)
        {
            _staged.Remove(key);
            return Failed(status);
        }
        if (record.Parts.Any(part => Entry(dataset, part.Chunk).Phase != ChunkPhase.Active || IsLocked(dataset, part.Chunk)))
            return Failed(HotpotStatus.Busy);
        int degree = Degree(record);
        if (degree < minimumDegree)
            return Abandon(key, HotpotStatus.Degree, degree);
        NodeId[] replicas = [.. record.Parts.SelectMany(part => Entry(dataset, part.Chunk).Replicas).Distinct()];
        if (replicas.Any(node => _fabric.Link(this, node) is null))
            return Abandon(key, HotpotStatus.PeerLost, degree);
        record = record with { Parts = [.. record.Parts.Select(part => part with { Sequence = _disk.Chunks[(dataset, part.Chunk)].Sequence + 1 })] };
        foreach (NodeId node in replicas)
            _fabric.Link(this, node)!._disk.Pending[(transaction, dataset, Self)] = record with { Parts = [.. record.Parts.Where(part => Entry(dataset, part.Chunk).Holds(node))] };
        _staged.Remove(key);
        _owned.Add(key);
        return Done(degree);
    }

    private Completion Abandon((TransactionId, DatasetId) key, HotpotStatus status, int degree)
    {
        _staged.Remove(key);
        _disk.Outcomes[key] = TransactionOutcome.Aborted;
        return new Completion(status, degree, 0);
    }

    public ByteRange[] StagedPages(TransactionId transaction, DatasetId dataset)
    {
        lock (_fabric.Turn)
        {
            FakeRecord? record = _staged.GetValueOrDefault((transaction, dataset));
            if (_owned.Contains((transaction, dataset)))
                record = _disk.Pending[(transaction, dataset, Self)];
            if (!IsAlive || record is null)
                return [];
            // Only what is written to: chunks of these tests are a page or more.
            long chunkBytes = _disk.Datasets[dataset].ChunkBytes;
            return
            [
                .. record.Parts.SelectMany(part => part.Writes.SelectMany(write =>
                        Pages(part.Chunk.Value * chunkBytes + write.Offset, write.Bytes.Length)))
                    .Distinct().Order().Select(page => new ByteRange(page * Limits.PageBytes, Limits.PageBytes)),
            ];
        }

        static IEnumerable<long> Pages(long offset, int length)
        {
            for (long page = offset / Limits.PageBytes; page * Limits.PageBytes < offset + length; page++)
                yield return page;
        }
    }

    public async ValueTask<Completion> CommitAsync(TransactionId transaction, DatasetId dataset)
    {
        await _fabric.AtPoint("commit.before", Self);
        Completion completion;
        lock (_fabric.Turn)
            completion = IsAlive ? Commit((transaction, dataset)) : Failed(HotpotStatus.Closed);
        await _fabric.AtPoint("commit.after", Self);
        return completion;
    }

    private Completion Commit((TransactionId, DatasetId) key)
    {
        if (!_owned.Contains(key))
        {
            if (_disk.Outcomes.TryGetValue(key, out TransactionOutcome known))
                return known == TransactionOutcome.Committed ? Done(3) : Failed(HotpotStatus.Refused);
            return Failed(_staged.ContainsKey(key) ? HotpotStatus.Invalid : HotpotStatus.NotFound);
        }
        FakeRecord record = _disk.Pending[(key.Item1, key.Item2, Self)];
        int degree = Degree(record);
        foreach (NodeId node in record.Parts.SelectMany(part => Entry(key.Item2, part.Chunk).Replicas).Append(Self).Distinct())
            _fabric.Link(this, node)?.Apply((key.Item1, key.Item2, Self));
        _owned.Remove(key);
        return Done(degree);
    }

    private void Apply((TransactionId Transaction, DatasetId Dataset, NodeId Owner) key)
    {
        if (!_disk.Pending.Remove(key, out FakeRecord? record))
            return;
        foreach (FakePart part in record.Parts)
        {
            FakeChunk chunk = _disk.Chunks[(key.Dataset, part.Chunk)];
            foreach ((int offset, byte[] bytes) in part.Writes)
                bytes.CopyTo(chunk.Bytes, offset);
            chunk.Sequence = Math.Max(chunk.Sequence, part.Sequence);
        }
        _disk.Outcomes[(key.Transaction, key.Dataset)] = TransactionOutcome.Committed;
    }

    public ValueTask<Completion> AbortAsync(TransactionId transaction, DatasetId dataset)
    {
        lock (_fabric.Turn)
        {
            var key = (transaction, dataset);
            if (!IsAlive)
                return new(Failed(HotpotStatus.Closed));
            if (!_owned.Contains(key) && _disk.Outcomes.TryGetValue(key, out TransactionOutcome known))
                return new(known == TransactionOutcome.Committed ? Failed(HotpotStatus.Invalid) : Done(0));
            // What is prepared here is dropped, even if another owner's abort was heard of first: the outcome is the transaction's, the locks are this owner's.
            if (_owned.Remove(key))
            {
                FakeRecord record = _disk.Pending[(transaction, dataset, Self)];
                foreach (NodeId node in record.Parts.SelectMany(part => Entry(dataset, part.Chunk).Replicas).Append(Self).Distinct())
                    _fabric.Link(this, node)?.Drop((transaction, dataset, Self));
            }
            else if (!_staged.Remove(key))
            {
                return new(Failed(HotpotStatus.NotFound));
            }
            _disk.Outcomes[key] = TransactionOutcome.Aborted;
            return new(Done(0));
        }
    }

    private void Drop((TransactionId Transaction, DatasetId Dataset, NodeId Owner) key)
    {
        _disk.Pending.Remove(key);
        _disk.Outcomes.TryAdd((key.Transaction, key.Dataset), TransactionOutcome.Aborted);
    }

    public void Forget(TransactionId transaction, DatasetId dataset)
    {
        lock (_fabric.Turn)
        {
            if (_disk.Outcomes.GetValueOrDefault((transaction, dataset)) == TransactionOutcome.Committed)
                _disk.Outcomes.Remove((transaction, dataset));
        }
    }

    public ChunkState[] ChunkStates(DatasetId dataset)
    {
        lock (_fabric.Turn)
        {
            CheckAlive();
            return
            [
                .. _disk.Chunks.Where(pair => pair.Key.Dataset == dataset && pair.Value.Held).Select(pair => new ChunkState
                {
                    Chunk = pair.Key.Chunk,
                    Held = true,
                    Complete = pair.Value.Complete,
                    Epoch = pair.Value.Epoch,
                    Sequence = new CommitSequence(pair.Value.Sequence),
                }),
            ];
        }
    }

    public TransactionParticipant[] Pending()
    {
        lock (_fabric.Turn)
        {
            CheckAlive();
            return
            [
                .. _disk.Pending.Values.SelectMany(record => record.Participants.Select(part => new TransactionParticipant
                {
                    Transaction = record.Transaction,
                    Dataset = part.Dataset,
                    Chunk = part.Chunk,
                    PreparedHere = part.Dataset == record.Dataset && record.Parts.Any(here => here.Chunk == part.Chunk),
                })),
            ];
        }
    }

    public Task<TransactionOutcome> OutcomeAsync(TransactionId transaction, DatasetId dataset, ChunkIndex chunk, OutcomeQuestion question)
    {
        lock (_fabric.Turn)
        {
            CheckAlive();
            var key = (transaction, dataset);
            if (question == OutcomeQuestion.End && _map.GetValueOrDefault((dataset, chunk))?.Owner != Self)
                throw new NotOwnerException($"Node {Self} does not own chunk {chunk}.");
            bool pending = _disk.Pending.Any(pair => pair.Key.Transaction == transaction && pair.Key.Dataset == dataset && pair.Value.Parts.Any(part => part.Chunk == chunk));
            if (_disk.Outcomes.TryGetValue(key, out TransactionOutcome known) && !(pending && question == OutcomeQuestion.End))
                return Task.FromResult(known);
            if (pending)
                return Task.FromResult(TransactionOutcome.Prepared);
            if (question is not (OutcomeQuestion.Refuse or OutcomeQuestion.End))
                return Task.FromResult(TransactionOutcome.Unknown);
            _staged.Remove(key);
            _disk.Outcomes[key] = TransactionOutcome.Aborted;
            return Task.FromResult(TransactionOutcome.Aborted);
        }
    }

    public Task SettleAsync(TransactionId transaction, bool commit)
    {
        lock (_fabric.Turn)
        {
            CheckAlive();
            foreach (var key in _disk.Pending.Keys.Where(key => key.Transaction == transaction).ToArray())
            {
                if (commit)
                    Apply(key);
                else
                    Drop(key);
            }
            _owned.RemoveWhere(key => key.Item1 == transaction);
        }
        return Task.CompletedTask;
    }

    public ValueTask<Completion> SyncChunkAsync(DatasetId dataset, ChunkIndex chunk, NodeId source)
    {
        lock (_fabric.Turn)
        {
            if (!IsAlive || _fabric.Link(this, source) is not { } from)
                return new(Failed(HotpotStatus.PeerLost));
            FakeChunk? theirs = from._disk.Chunks.GetValueOrDefault((dataset, chunk));
            FakeChunk ours = _disk.Chunks[(dataset, chunk)];
            if (theirs is not { Complete: true } || from.IsLocked(dataset, chunk))
                return new(Failed(HotpotStatus.Busy));
            if (theirs.Epoch != ours.Epoch)
                return new(Failed(HotpotStatus.StaleEpoch));
            ours.CopyFrom(theirs);
            foreach (var committed in from._disk.Outcomes.Where(pair => pair.Key.Item2 == dataset && pair.Value == TransactionOutcome.Committed).ToArray())
                _disk.Outcomes.TryAdd(committed.Key, committed.Value);
            return new(new Completion(HotpotStatus.Ok, 0, 1));
        }
    }

    /// <summary>As the real one: from the owner, wherever it is, by this node's map.</summary>
    public Task ReadAsync(DatasetId dataset, long offset, Memory<byte> to, TimeSpan timeout)
    {
        lock (_fabric.Turn)
        {
            CheckAlive();
            DatasetDescription description = _disk.Datasets[dataset];
            for (int i = 0; i < to.Length; i++)
            {
                ChunkIndex chunk = description.ChunkOf(offset + i);
                if (!_map.TryGetValue((dataset, chunk), out ChunkEntry? entry))
                {
                    to.Span[i] = 0;  // Nobody's chunk is zero, whatever the caller's buffer held.
                    continue;
                }
                if (entry.Phase != ChunkPhase.Active || _fabric.Link(this, entry.Owner) is not { } owner)
                    throw new PageUnreachableException($"Chunk {chunk} is not served now; try again.");
                to.Span[i] = owner._disk.Chunks[(dataset, chunk)].Bytes[(offset + i) & (description.ChunkBytes - 1)];
            }
        }
        return Task.CompletedTask;
    }

    public EngineStatistics Statistics() => default;

    public DatasetStatistics DatasetStatistics(DatasetId dataset) => default;

    private static Completion Done(int degree) => new(HotpotStatus.Ok, degree, 0);

    private static Completion Failed(HotpotStatus status) => new(status, 0, 0);

    /// <summary>Calls that it did not answer because it is dead. Written under the fabric's turn, read by tests.</summary>
    public int Unanswered { get; private set; }

    private void CheckAlive()
    {
        if (IsAlive)
            return;
        Unanswered++;
        throw new EngineClosedException("The engine is shutting down.");
    }

    private ChunkEntry Entry(DatasetId dataset, ChunkIndex chunk) => _map[(dataset, chunk)];

    private int Degree(FakeRecord record) => record.Parts.Min(part => Entry(record.Dataset, part.Chunk).CountedReplicas);

    private bool IsLocked(DatasetId dataset, ChunkIndex chunk) =>
        _owned.Any(key => key.Item2 == dataset && _disk.Pending[(key.Item1, key.Item2, Self)].Parts.Any(part => part.Chunk == chunk));

    private HotpotStatus CheckParts(FakeRecord record)
    {
        foreach (FakePart part in record.Parts)
        {
            if (!_map.TryGetValue((record.Dataset, part.Chunk), out ChunkEntry? entry) || entry.Epoch != part.Epoch)
                return HotpotStatus.StaleEpoch;
            if (entry.Owner != Self)
                return HotpotStatus.NotOwner;
        }
        return HotpotStatus.Ok;
    }

    private sealed class FakeTransaction(FakeEngine engine, TransactionId id) : INodeTransaction
    {
        private readonly SortedDictionary<(DatasetId, ChunkIndex), List<(int Offset, byte[] Bytes)>> _writes = [];
        private OwnerTerms[] _owners = [];
        private Completion[] _answers = [];

        public TransactionId Id => id;

        public long Collect(DatasetId dataset, ReadOnlySpan<ByteRange> ranges)
        {
            ByteRange[] wanted = [.. ranges];
            lock (engine._fabric.Turn)
            {
                long bytes = 0;
                foreach ((long offset, byte[] stored) in engine._stores.GetValueOrDefault(dataset, []))
                {
                    if (wanted.Length > 0 && !wanted.Any(range => range.Contains(offset)))
                        continue;
                    Write(dataset, offset, stored);
                    bytes += stored.Length;
                }
                return bytes;
            }
        }

        public void Write(DatasetId dataset, long offset, ReadOnlySpan<byte> bytes)
        {
            lock (engine._fabric.Turn)
            {
                DatasetDescription description = engine._disk.Datasets[dataset];
                while (bytes.Length > 0)
                {
                    int at = (int)(offset & (description.ChunkBytes - 1));
                    int count = (int)Math.Min(bytes.Length, description.ChunkBytes - at);
                    var key = (dataset, description.ChunkOf(offset));
                    if (!_writes.TryGetValue(key, out var writes))
                        _writes[key] = writes = [];
                    writes.Add((at, bytes[..count].ToArray()));
                    bytes = bytes[count..];
                    offset += count;
                }
            }
        }

        public TransactionPart[] Parts()
        {
            lock (engine._fabric.Turn)
                return
                [
                    .. _writes.Keys.Select(key => new TransactionPart
                    {
                        Dataset = key.Item1,
                        Chunk = key.Item2,
                        Owner = engine._map.GetValueOrDefault(key)?.Owner ?? NodeId.None,
                        Epoch = engine._map.GetValueOrDefault(key)?.Epoch ?? default,
                        Pages = 1,
                    }),
                ];
        }

        public async ValueTask<Completion> StageAsync(DatasetId dataset, NodeId owner)
        {
            Completion completion;
            lock (engine._fabric.Turn)
                completion = Stage(dataset, owner);
            await engine._fabric.AtPoint("stage.after", owner);
            return completion;
        }

        // Its gates are shut: the owner only keeps the record.
        public ValueTask<Completion> CommitAtAsync(DatasetId dataset, NodeId owner, bool failOnConflict, int minimumDegree, TimeSpan timeout) => StageAsync(dataset, owner);

        public async ValueTask<Completion> PrepareTogetherAsync(OwnerTerms[] owners)
        {
            _owners = owners;
            _answers = await Task.WhenAll(owners.Select(PrepareOneAsync));
            return Done(0);
        }

        public async ValueTask<Completion> CommitTogetherAsync()
        {
            _answers = await Task.WhenAll(_owners.Select(CommitOneAsync));
            return Done(0);
        }

        public Completion[] Answers() => _answers;

        private async Task<Completion> PrepareOneAsync(OwnerTerms to)
        {
            Completion staged = await StageAsync(to.Dataset, to.Owner);
            bool direct = to.Owner == engine.Self || engine._fabric.GatesAreOpen;
            if (!staged.Succeeded || !direct)
                return staged;
            return await AskAsync(to.Owner, target => target.PrepareAsync(id, to.Dataset, to.FailOnConflict, to.MinimumDegree, to.LockTimeout));
        }

        private Task<Completion> CommitOneAsync(OwnerTerms to) => AskAsync(to.Owner, target => target.CommitAsync(id, to.Dataset));

        // The answer is lost when either end dies before it is there.
        private async Task<Completion> AskAsync(NodeId owner, Func<FakeEngine, ValueTask<Completion>> ask)
        {
            Completion answer = engine._fabric.Link(engine, owner) is { } target ? await ask(target) : Failed(HotpotStatus.PeerLost);
            return (engine._fabric.Link(engine, owner) is null ? Failed(HotpotStatus.PeerLost) : answer) with { Value = 1 };
        }

        public void Dispose() => _writes.Clear();

        private Completion Stage(DatasetId dataset, NodeId owner)
        {
            FakePart[] parts =
            [
                .. _writes.Where(write => write.Key.Item1 == dataset && engine._map[write.Key].Owner == owner)
                    .Select(write => new FakePart(write.Key.Item2, engine._map[write.Key].Epoch, 0, [.. write.Value])),
            ];
            if (parts.Length == 0)
                return Failed(HotpotStatus.NotOwner);
            if (engine._fabric.Link(engine, owner) is not { } target)
                return Failed(HotpotStatus.PeerLost);
            FakeRecord record = new(id, dataset, parts, [.. _writes.Keys]);
            if (target._disk.Outcomes.ContainsKey((id, dataset)))
                return Failed(HotpotStatus.Refused);
            if (target.CheckParts(record) is var status and not HotpotStatus.Ok)
                return Failed(status);
            target._staged[(id, dataset)] = record;
            return Done(0);
        }
    }
}
