namespace Hotpot.Grains;

/// <summary>
/// The managed face of one node, placed on it: what other nodes and the dataset grains ask of its engine. Reentrant, because a
/// node answers about one dataset while it works on another.
/// </summary>
[Alias("hotpot.INodeGrain")]
public interface INodeGrain : IGrainWithStringKey
{
    [Alias("GetIdentity")]
    Task<NodeIdentity> GetIdentityAsync();

    /// <summary>Opens the dataset in the engine, without mapping it. Idempotent; returns who opened it.</summary>
    [Alias("OpenDataset")]
    Task<NodeIdentity> OpenDatasetAsync(DatasetDescription description);

    [Alias("DropDataset")]
    Task DropDatasetAsync(DatasetId dataset);

    /// <summary>
    /// Installs at most <see cref="ChunkMapPage.MaxEntries"/> entries; durable at a replica when it returns. False: the entries are for an earlier life of
    /// the node, and nothing was installed.
    /// </summary>
    [Alias("InstallMap")]
    Task<bool> InstallMapAsync(DatasetId dataset, Incarnation incarnation, PackedEntries entries);

    /// <summary>What this node holds of these chunks. A chunk it does not hold is left out.</summary>
    [Alias("GetChunkStates")]
    Task<PackedStates> GetChunkStatesAsync(DatasetId dataset, PackedChunks chunks);

    /// <summary>All participants of all transactions that are prepared and undecided here.</summary>
    [Alias("GetPending")]
    Task<TransactionParticipant[]> GetPendingAsync();

    /// <summary>
    /// What this node knows of a transaction's part on one chunk, durably. A transaction that it refuses because of the question is reported
    /// as <see cref="TransactionOutcome.Aborted"/>.
    /// </summary>
    [Alias("GetOutcome")]
    Task<TransactionOutcome> GetOutcomeAsync(TransactionId transaction, DatasetId dataset, ChunkIndex chunk, OutcomeQuestion question);

    /// <summary>Decides a pending transaction on this node alone. Idempotent.</summary>
    [Alias("Settle")]
    Task SettleAsync(TransactionId transaction, bool commit);

    /// <summary>Makes this node's copies equal to those of a complete replica, durably. Returns the pages copied.</summary>
    [Alias("SyncChunks")]
    [ResponseTimeout(GrainTimeouts.Long)]
    Task<long> SyncChunksAsync(DatasetId dataset, ChunkIndex[] chunks, NodeId source);

    /// <summary>Reads committed bytes for a client without a silo; at most <see cref="RemoteLimits.MaxBytes"/>.</summary>
    [Alias("Read")]
    Task<byte[]> ReadAsync(DatasetId dataset, long offset, int length);

    /// <summary>Commits explicit bytes for a client without a silo; at most <see cref="RemoteLimits.MaxBytes"/>.</summary>
    [Alias("Write")]
    [ResponseTimeout(GrainTimeouts.Long)]
    Task<CommitResult> WriteAsync(DatasetId dataset, long offset, [Immutable] byte[] bytes, CommitOptions options);

    /// <summary>
    /// An owner wants a grant back that this node holds. True when the node gives it up at once because nobody uses it;
    /// false when it is in use and will be released later.
    /// </summary>
    [Alias("Recall")]
    Task<bool> RecallAsync(DatasetId dataset, ByteRange range, NodeId owner);

    /// <summary>
    /// The grants that this node holds in the ranges, in use or kept. A new owner asks for them, so what an earlier one has granted and this node
    /// has not heard of yet does not count any more. Empty when the dataset is not open here.
    /// </summary>
    [Alias("ListHeldGrants")]
    Task<GrantInfo[]> ListHeldGrantsAsync(DatasetId dataset, ByteRange[] ranges);

    [Alias("Stat")]
    Task<NodeStatus> StatAsync();

    [Alias("StatDataset")]
    Task<NodeDatasetStatus> StatDatasetAsync(DatasetId dataset);

    /// <summary>SHA-256 of the committed bytes of a range as this node sees them.</summary>
    [Alias("Checksum")]
    [ResponseTimeout(GrainTimeouts.Long)]
    Task<byte[]> ChecksumAsync(DatasetId dataset, ByteRange range);
}

/// <summary>The bounds of calls that carry bytes.</summary>
public static class RemoteLimits
{
    /// <summary>Bytes in one grain call: large enough to amortise the call, small enough not to hold up others behind it.</summary>
    public const int MaxBytes = 1 << 20;
}

/// <summary>Who a node is in this life, and where its engine listens.</summary>
[GenerateSerializer]
[Immutable]
[Alias("hotpot.NodeIdentity")]
public sealed record NodeIdentity
{
    /// <summary>Version of grain contracts and fabric messages together; nodes of different versions refuse each other.</summary>
    public const uint CurrentProtocol = 3;

    [Id(0)] public required NodeId Node { get; init; }

    [Id(1)] public required Incarnation Incarnation { get; init; }

    [Id(2)] public required string FabricAddress { get; init; }

    [Id(3)] public uint Protocol { get; init; } = CurrentProtocol;
}

/// <summary>A node's figures.</summary>
[GenerateSerializer]
[Immutable]
[Alias("hotpot.NodeStatus")]
public sealed record NodeStatus
{
    [Id(0)] public required NodeIdentity Identity { get; init; }

    [Id(1)] public required EngineStatistics Statistics { get; init; }
}

/// <summary>What one node holds of one dataset.</summary>
[GenerateSerializer]
[Immutable]
[Alias("hotpot.NodeDatasetStatus")]
public sealed record NodeDatasetStatus
{
    [Id(0)] public required NodeId Node { get; init; }

    [Id(1)] public required DatasetStatistics Statistics { get; init; }
}
