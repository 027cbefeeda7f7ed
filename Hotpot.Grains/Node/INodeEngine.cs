namespace Hotpot.Grains.Node;

/// <summary>
/// What grains and the committer ask of a node's engine: the part of <see cref="Engine"/> that moves no page. It is an interface so
/// that the protocols can be tested against engines that fail at chosen moments.
/// </summary>
internal interface INodeEngine
{
    NodeIdentity Identity { get; }

    void SetPeer(NodeIdentity peer);

    void RemovePeer(NodeId node, Incarnation incarnation);

    void OpenDataset(DatasetDescription description);

    void DropDataset(DatasetId dataset);

    Task ApplyMapAsync(DatasetId dataset, IReadOnlyList<ChunkEntry> entries);

    INodeTransaction CreateTransaction();

    ValueTask<Completion> PrepareAsync(TransactionId transaction, DatasetId dataset, bool failOnConflict, int minimumDegree, TimeSpan timeout);

    /// <summary>The pages that a transaction changes here, ascending, neighbours in one; none when it is not staged here.</summary>
    ByteRange[] StagedPages(TransactionId transaction, DatasetId dataset);

    ValueTask<Completion> CommitAsync(TransactionId transaction, DatasetId dataset);

    ValueTask<Completion> AbortAsync(TransactionId transaction, DatasetId dataset);

    /// <inheritdoc cref="Engine.OpenGate"/>
    bool OpenGate(DatasetId dataset, ChunkIndex chunk, Epoch epoch);

    /// <inheritdoc cref="Engine.CloseGates"/>
    int CloseGates(DatasetId dataset);

    void Forget(TransactionId transaction, DatasetId dataset);

    ChunkState[] ChunkStates(DatasetId dataset);

    ChunkUse[] TakeUsage(DatasetId dataset);

    TransactionParticipant[] Pending();

    Task<TransactionOutcome> OutcomeAsync(TransactionId transaction, DatasetId dataset, ChunkIndex chunk, OutcomeQuestion question);

    Task SettleAsync(TransactionId transaction, bool commit);

    ValueTask<Completion> SyncChunkAsync(DatasetId dataset, ChunkIndex chunk, NodeId source);

    Task ReadAsync(DatasetId dataset, long offset, Memory<byte> to, TimeSpan timeout);

    EngineStatistics Statistics();

    DatasetStatistics DatasetStatistics(DatasetId dataset);
}

/// <summary>The commit node's half of a transaction; see <see cref="Transaction"/>.</summary>
internal interface INodeTransaction : IDisposable
{
    TransactionId Id { get; }

    long Collect(DatasetId dataset, ReadOnlySpan<ByteRange> ranges);

    void Write(DatasetId dataset, long offset, ReadOnlySpan<byte> bytes);

    TransactionPart[] Parts();

    ValueTask<Completion> StageAsync(DatasetId dataset, NodeId owner);

    /// <inheritdoc cref="Transaction.CommitAtAsync"/>
    ValueTask<Completion> CommitAtAsync(DatasetId dataset, NodeId owner, bool failOnConflict, int minimumDegree, TimeSpan timeout);

    /// <inheritdoc cref="Transaction.PrepareTogetherAsync"/>
    ValueTask<Completion> PrepareTogetherAsync(OwnerTerms[] owners);

    /// <inheritdoc cref="Transaction.CommitTogetherAsync"/>
    ValueTask<Completion> CommitTogetherAsync();

    /// <inheritdoc cref="Transaction.Answers"/>
    Completion[] Answers();
}

/// <summary>The real thing.</summary>
internal sealed class NativeNodeEngine(Engine engine) : INodeEngine
{
    public NodeIdentity Identity { get; } = new()
    {
        Node = engine.NodeId,
        Incarnation = engine.Incarnation,
        FabricAddress = engine.Info.FabricAddress,
    };

    public void SetPeer(NodeIdentity peer) => engine.SetPeer(peer.Node, peer.Incarnation, peer.FabricAddress);

    public void RemovePeer(NodeId node, Incarnation incarnation) => engine.RemovePeer(node, incarnation);

    public void OpenDataset(DatasetDescription description) => engine.OpenDataset(description);

    public void DropDataset(DatasetId dataset) => engine.DropDataset(dataset);

    public Task ApplyMapAsync(DatasetId dataset, IReadOnlyList<ChunkEntry> entries) => engine.ApplyMapAsync(dataset, entries);

    public INodeTransaction CreateTransaction() => new NativeTransaction(engine.CreateTransaction());

    public ValueTask<Completion> PrepareAsync(TransactionId transaction, DatasetId dataset, bool failOnConflict, int minimumDegree, TimeSpan timeout) =>
        engine.PrepareAsync(transaction, dataset, failOnConflict, minimumDegree, timeout);

    public ByteRange[] StagedPages(TransactionId transaction, DatasetId dataset) => engine.StagedPages(transaction, dataset);

    public ValueTask<Completion> CommitAsync(TransactionId transaction, DatasetId dataset) => engine.CommitAsync(transaction, dataset);

    public ValueTask<Completion> AbortAsync(TransactionId transaction, DatasetId dataset) => engine.AbortAsync(transaction, dataset);

    public bool OpenGate(DatasetId dataset, ChunkIndex chunk, Epoch epoch) => engine.OpenGate(dataset, chunk, epoch);

    public int CloseGates(DatasetId dataset) => engine.CloseGates(dataset);

    public void Forget(TransactionId transaction, DatasetId dataset) => engine.Forget(transaction, dataset);

    public ChunkState[] ChunkStates(DatasetId dataset) => engine.ChunkStates(dataset);

    public ChunkUse[] TakeUsage(DatasetId dataset) => engine.TakeUsage(dataset);

    public TransactionParticipant[] Pending() => engine.Pending();

    public Task<TransactionOutcome> OutcomeAsync(TransactionId transaction, DatasetId dataset, ChunkIndex chunk, OutcomeQuestion question) =>
        engine.OutcomeAsync(transaction, dataset, chunk, question);

    public Task SettleAsync(TransactionId transaction, bool commit) => engine.SettleAsync(transaction, commit);

    public ValueTask<Completion> SyncChunkAsync(DatasetId dataset, ChunkIndex chunk, NodeId source) => engine.SyncChunkAsync(dataset, chunk, source);

    public Task ReadAsync(DatasetId dataset, long offset, Memory<byte> to, TimeSpan timeout) => engine.ReadAsync(dataset, offset, to, timeout);

    public EngineStatistics Statistics() => engine.Statistics();

    public DatasetStatistics DatasetStatistics(DatasetId dataset) => engine.DatasetStatistics(dataset);

    private sealed class NativeTransaction(Transaction transaction) : INodeTransaction
    {
        public TransactionId Id => transaction.Id;

        public long Collect(DatasetId dataset, ReadOnlySpan<ByteRange> ranges) => transaction.Collect(dataset, ranges);

        public void Write(DatasetId dataset, long offset, ReadOnlySpan<byte> bytes) => transaction.Write(dataset, offset, bytes);

        public TransactionPart[] Parts() => transaction.Parts();

        public ValueTask<Completion> StageAsync(DatasetId dataset, NodeId owner) => transaction.StageAsync(dataset, owner);

        public ValueTask<Completion> CommitAtAsync(DatasetId dataset, NodeId owner, bool failOnConflict, int minimumDegree, TimeSpan timeout) =>
            transaction.CommitAtAsync(dataset, owner, failOnConflict, minimumDegree, timeout);

        public ValueTask<Completion> PrepareTogetherAsync(OwnerTerms[] owners) => transaction.PrepareTogetherAsync(owners);

        public ValueTask<Completion> CommitTogetherAsync() => transaction.CommitTogetherAsync();

        public Completion[] Answers() => transaction.Answers();

        public void Dispose() => transaction.Dispose();
    }
}
