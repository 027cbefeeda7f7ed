namespace Hotpot.Grains;

/// <summary>
/// The chunks that one node owns in one dataset, placed on that node: the commit phases and the grants. Reentrant: a prepare that waits
/// for locked pages must not hold up the commit that unlocks them.
/// </summary>
[Alias("hotpot.IOwnerGrain")]
public interface IOwnerGrain : IGrainWithStringKey
{
    /// <summary>Locks, logs and replicates a staged transaction. Nothing is applied yet.</summary>
    [Alias("Prepare")]
    Task<PhaseResult> PrepareAsync(PrepareRequest request);

    /// <summary>Prepare and commit in one call, for a transaction with one participant.</summary>
    [Alias("Commit")]
    Task<PhaseResult> CommitAsync(PrepareRequest request);

    /// <summary>Applies a prepared transaction. Returns when every sharer shows it.</summary>
    [Alias("CommitPrepared")]
    Task<PhaseResult> CommitPreparedAsync(TransactionId transaction);

    /// <summary>Refuses the transaction for ever.</summary>
    [Alias("Abort")]
    Task<PhaseResult> AbortAsync(TransactionId transaction);

    /// <summary>
    /// What became of a transaction's part on a chunk that this node owns and serves; <see cref="NotOwnerException"/> or
    /// <see cref="BusyException"/> otherwise. An unknown transaction is refused for ever, durably, and reported as aborted.
    /// </summary>
    [Alias("GetOutcome")]
    Task<OutcomeReport> GetOutcomeAsync(TransactionId transaction, ChunkIndex chunk);

    /// <summary>Every participant has committed; nobody will ask for the outcome any more.</summary>
    [Alias("Forget")]
    Task ForgetAsync(TransactionId transaction);

    /// <summary>
    /// Grants pages to a node, in the order of asking. Throws <see cref="AlreadyAcquiredException"/>, <see cref="UpgradeConflictException"/>,
    /// <see cref="HotpotTimeoutException"/>, <see cref="BusyException"/> or <see cref="NotOwnerException"/>.
    /// </summary>
    [Alias("Acquire")]
    [ResponseTimeout(GrainTimeouts.CallersOwn)]
    Task AcquireAsync(AcquireRequest request, CancellationToken cancellationToken = default);

    /// <summary>Gives grants back that were asked for with this ticket or an earlier one. False when the node did not hold any (any more).</summary>
    [Alias("Release")]
    Task<bool> ReleaseAsync(GrantHolder holder, ByteRange range, ulong upToTicket);

    /// <summary>Frees everything that a dead incarnation held or waited for. Idempotent.</summary>
    [Alias("HolderDied")]
    Task HolderDiedAsync(NodeId node, Incarnation incarnation);

    /// <summary>The grants held now, for tools.</summary>
    [Alias("ListGrants")]
    Task<GrantInfo[]> ListGrantsAsync();
}

/// <summary>
/// What became of one phase of a commit. Expected failures travel as a status, because the commit node decides by it and
/// must not mistake a lost answer for one.
/// </summary>
[GenerateSerializer]
[Immutable]
[Alias("hotpot.PhaseResult")]
public sealed record PhaseResult
{
    [Id(0)] public HotpotStatus Status { get; init; }

    /// <summary>One sentence when the status is not Ok.</summary>
    [Id(1)] public string Message { get; init; } = "";

    /// <summary>Nodes that hold the bytes durably; the smallest over the participant's chunks.</summary>
    [Id(2)] public int Degree { get; init; }

    /// <summary>The failure came after the transaction was prepared, so it may yet commit: only its outcome tells.</summary>
    [Id(3)] public bool FailedAfterPrepare { get; init; }

    public bool IsOk => Status == HotpotStatus.Ok;

    public static PhaseResult Done(int degree) => new() { Degree = degree };

    public static PhaseResult Failed(HotpotStatus status, string message, int degree = 0) => new() { Status = status, Message = message, Degree = degree };
}

/// <summary>An owner's word on a transaction.</summary>
[GenerateSerializer]
[Immutable]
[Alias("hotpot.OutcomeReport")]
public sealed record OutcomeReport
{
    [Id(0)] public required TransactionOutcome Outcome { get; init; }

    /// <summary>Counted replicas of the chunk; they hold whatever is committed.</summary>
    [Id(1)] public required int Degree { get; init; }
}

/// <summary>What an owner needs to know to prepare.</summary>
[GenerateSerializer]
[Immutable]
[Alias("hotpot.PrepareRequest")]
public sealed record PrepareRequest
{
    [Id(0)] public required TransactionId Transaction { get; init; }

    [Id(1)] public bool FailOnConflict { get; init; }

    [Id(2)] public required int MinDegree { get; init; }

    /// <summary>How long to wait for pages that another commit has locked.</summary>
    [Id(3)] public required TimeSpan LockTimeout { get; init; }

    /// <summary>
    /// In a single-writer dataset: the ranges that the commit stays inside, as far as they lie in this owner's chunks; all of them must be granted to the commit node.
    /// </summary>
    [Id(4)] public ByteRange[] Ranges { get; init; } = [];

    /// <summary>The chunks that the commit changes at this owner, as ascending ranges.</summary>
    [Id(5)] public required ByteRange[] Chunks { get; init; }

    /// <summary>How long to wait for grants in the way: short when the transaction is prepared at another owner already.</summary>
    [Id(6)] public required TimeSpan GrantTimeout { get; init; }
}

/// <summary>A node that may hold grants; a new incarnation holds none of the old one's.</summary>
[GenerateSerializer]
[Immutable]
[Alias("hotpot.GrantHolder")]
public readonly record struct GrantHolder
{
    [Id(0)] public NodeId Node { get; init; }

    [Id(1)] public Incarnation Incarnation { get; init; }

    public override string ToString() => $"{Node}/{Incarnation}";
}

/// <summary>Whether a grant excludes all others or only exclusive ones.</summary>
public enum AcquireMode
{
    /// <summary>Nobody commits to the pages meanwhile, this node included: what is read belongs together.</summary>
    Shared = 0,

    /// <summary>No other node holds the pages at all, or commits to them.</summary>
    Exclusive = 1,
}

[GenerateSerializer]
[Immutable]
[Alias("hotpot.AcquireRequest")]
public sealed record AcquireRequest
{
    [Id(0)] public required GrantHolder Holder { get; init; }

    [Id(1)] public required ByteRange Range { get; init; }

    [Id(2)] public required AcquireMode Mode { get; init; }

    [Id(3)] public required TimeSpan Timeout { get; init; }

    /// <summary>Grows with each request of the holder; a release names the last one that it is meant for.</summary>
    [Id(4)] public required ulong Ticket { get; init; }

    /// <summary>The holder has all of the range as <see cref="AcquireMode.Shared"/> and keeps it while it waits.</summary>
    [Id(5)] public bool IsUpgrade { get; init; }
}

[GenerateSerializer]
[Immutable]
[Alias("hotpot.GrantInfo")]
public sealed record GrantInfo
{
    [Id(0)] public required GrantHolder Holder { get; init; }

    [Id(1)] public required ByteRange Range { get; init; }

    [Id(2)] public required AcquireMode Mode { get; init; }

    [Id(3)] public ulong Ticket { get; init; }
}
