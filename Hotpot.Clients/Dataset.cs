using Hotpot.Grains.Commit;
using Hotpot.Grains.Node;

namespace Hotpot.Clients;

/// <summary>
/// An open dataset. Loads and stores go through a <see cref="Mapping"/>; <see cref="CommitAsync(CommitOptions?, CancellationToken)"/>
/// makes the stores durable and visible everywhere. Safe for concurrent use; it holds nothing that needs disposing.
/// </summary>
public sealed class Dataset
{
    /// <summary>For calls that take no time-out of their own.</summary>
    public static readonly TimeSpan DefaultTimeout = TimeSpan.FromSeconds(30);

    /// <summary>The most bytes that one <see cref="WriteAsync"/> commits as one transaction in a silo; in another process it is 1 MiB.</summary>
    public const int AtomicWriteBytes = 16 << 20;

    // A read is done in pieces so that a cancellation is noticed between two of them.
    private const int ReadPieceBytes = 8 << 20;

    private readonly IGrainFactory _grains;
    private readonly IHotpotNode? _node;

    internal Dataset(DatasetDescription description, IGrainFactory grains, IHotpotNode? node)
    {
        Description = description;
        _grains = grains;
        _node = node;
    }

    public DatasetDescription Description { get; }

    public string Name => Description.Name;

    public DatasetId Id => Description.Id;

    /// <summary>Bytes.</summary>
    public long Size => Description.Size;

    /// <summary>Where every process maps the dataset, always. A pointer stored in the dataset is valid on every node.</summary>
    public ulong BaseAddress => Description.BaseAddress;

    /// <summary>
    /// Maps the dataset into this process at its base address. The memory may be used until the mapping is disposed; the last
    /// dispose discards stores that were not committed.
    /// </summary>
    /// <exception cref="NoSiloHereException">This process runs no silo.</exception>
    /// <exception cref="AddressInUseException">Something else is mapped at the base address.</exception>
    /// <exception cref="UserfaultfdDeniedException">The kernel or the container does not permit userfaultfd.</exception>
    /// <exception cref="HotpotTimeoutException">This node hides pages that it may not show yet, and their owner did not say in time that it may; map again.</exception>
    public Mapping Map(MapAccess access = MapAccess.ReadWrite) => new(Node("mapped").Engine, Description, access);

    /// <summary>Fetches the whole dataset, or a range of it, so that loads do not have to wait for it page by page.</summary>
    public Task PrefetchAsync(ByteRange? range = null, TimeSpan? timeout = null, CancellationToken cancellationToken = default)
    {
        ByteRange wanted = range ?? Whole;
        wanted.CheckInside(Size, Name);
        return Node("prefetched").Engine.PrefetchAsync(Id, wanted, timeout ?? DefaultTimeout, cancellationToken);
    }

    /// <summary>Copies committed bytes. Stores of this process that are not committed are not seen.</summary>
    public async Task ReadAsync(long offset, Memory<byte> destination, CancellationToken cancellationToken = default)
    {
        new ByteRange(offset, destination.Length).CheckInside(Size, Name);
        if (_node is null)
        {
            await RemoteAccess.ReadAsync(_grains, this, offset, destination, cancellationToken);
            return;
        }
        while (!destination.IsEmpty)
        {
            int piece = Math.Min(destination.Length, ReadPieceBytes);
            await _node.Engine.ReadAsync(Id, offset, destination[..piece], DefaultTimeout, cancellationToken);
            destination = destination[piece..];
            offset += piece;
        }
    }

    /// <inheritdoc cref="ReadAsync(long, Memory{byte}, CancellationToken)"/>
    public async Task<byte[]> ReadAsync(long offset, int length, CancellationToken cancellationToken = default)
    {
        new ByteRange(offset, length).CheckInside(Size, Name);
        byte[] bytes = GC.AllocateUninitializedArray<byte>(length);
        await ReadAsync(offset, bytes, cancellationToken);
        return bytes;
    }

    /// <summary>
    /// Copies committed bytes while nobody can commit to them, this process included: an atomic picture of a range that others
    /// change in several pages, at several owners, at once. Commits to it wait meanwhile. Needs a silo in this process.
    /// </summary>
    /// <exception cref="AlreadyAcquiredException">This process holds some of the pages now, perhaps for another call of this.</exception>
    /// <exception cref="HotpotTimeoutException">Others kept them for longer than <paramref name="timeout"/>.</exception>
    public async Task ReadConsistentAsync(
        long offset, Memory<byte> destination, TimeSpan? timeout = null, CancellationToken cancellationToken = default)
    {
        ByteRange range = new(offset, destination.Length);
        await using IGrant grant = await AcquireAsync(range, timeout, AcquireMode.Shared, cancellationToken);
        await ReadAsync(offset, destination, cancellationToken);
    }

    /// <summary>
    /// Commits explicit bytes; no mapping is needed. Up to <see cref="AtomicWriteBytes"/> are one transaction; more are
    /// committed piece by piece, in order, and an exception tells that a first part may be committed already.
    /// </summary>
    /// <inheritdoc cref="CommitAsync(CommitOptions?, CancellationToken)" path="/exception"/>
    public async Task<CommitResult> WriteAsync(
        long offset, ReadOnlyMemory<byte> bytes, CommitOptions? options = null, CancellationToken cancellationToken = default)
    {
        new ByteRange(offset, bytes.Length).CheckInside(Size, Name);
        options ??= CommitOptions.Default;
        if (_node is null)
            return await RemoteAccess.WriteAsync(_grains, this, offset, bytes, options, cancellationToken);

        WriteTotal total = new();
        do
        {
            int piece = Math.Min(bytes.Length, AtomicWriteBytes);
            total.Add(await _node.Committer.WriteAsync(Description, offset, bytes[..piece], options, cancellationToken));
            bytes = bytes[piece..];
            offset += piece;
        }
        while (!bytes.IsEmpty);
        return total.Result;
    }

    /// <summary>
    /// Commits explicit bytes at several places as one transaction of at most 32 MiB; no mapping is needed, but a silo in this
    /// process is. Where two of them meet, the later one wins.
    /// </summary>
    /// <inheritdoc cref="CommitAsync(CommitOptions?, CancellationToken)" path="/exception"/>
    public Task<CommitResult> WriteAsync(
        IReadOnlyList<ByteWrite> writes, CommitOptions? options = null, CancellationToken cancellationToken = default) =>
        Node("written").Committer.WriteAsync(Description, writes, options ?? CommitOptions.Default, cancellationToken);

    /// <summary>
    /// Commits every store to this process's mapping that is not committed yet. When it returns, the bytes are durable on as
    /// many nodes as asked for, and every node shows them.
    /// </summary>
    /// <exception cref="NotMappedException">The dataset has no writable mapping in this process.</exception>
    /// <exception cref="DegreeException">Too few replicas; <see cref="DegreeException.Committed"/> says whether it happened all the same.</exception>
    /// <exception cref="ConflictException">FailOnConflict, and another commit was first; nothing was applied.</exception>
    /// <exception cref="NotAcquiredException">A single-writer dataset, and some page is not granted to this node.</exception>
    /// <exception cref="LimitReachedException">More than 32 MiB changed; commit ranges of it one after the other.</exception>
    /// <exception cref="OutcomeUnknownException">The time ran out while the outcome could not be learned; the commit may have happened.</exception>
    public Task<CommitResult> CommitAsync(CommitOptions? options = null, CancellationToken cancellationToken = default) =>
        CommitAsync([], options, cancellationToken);

    /// <summary>Commits the stores in these ranges only; none means all.</summary>
    /// <inheritdoc cref="CommitAsync(CommitOptions?, CancellationToken)" path="/exception"/>
    public Task<CommitResult> CommitAsync(
        IReadOnlyList<ByteRange> ranges, CommitOptions? options = null, CancellationToken cancellationToken = default)
    {
        CheckRanges(ranges);
        return Node("committed").Committer.CommitAsync(
            [new CommitScope(Description, ranges)], options ?? CommitOptions.Default, cancellationToken);
    }

    /// <summary>Commits the stores in one range only.</summary>
    /// <inheritdoc cref="CommitAsync(CommitOptions?, CancellationToken)" path="/exception"/>
    public Task<CommitResult> CommitAsync(
        ByteRange range, CommitOptions? options = null, CancellationToken cancellationToken = default) =>
        CommitAsync([range], options, cancellationToken);

    /// <summary>
    /// Throws uncommitted stores away, in every page that a range touches; no range means all. The committed bytes are back
    /// when it returns.
    /// </summary>
    public Task DiscardAsync(params IReadOnlyList<ByteRange> ranges)
    {
        CheckRanges(ranges);
        Engine engine = Node("discarded").Engine;
        return Task.Run(() => engine.Discard(Id, [.. ranges]));
    }

    /// <summary>
    /// Waits until the pages of the range are granted to this node; dispose the result to give them up. Exclusive: no other
    /// node holds them or commits to them. Shared: nobody commits to them, this process included;
    /// <see cref="IGrant.UpgradeAsync"/> makes it exclusive. The grant outlives the death of the pages' owner.
    /// </summary>
    /// <exception cref="AlreadyAcquiredException">This process holds some of the pages now.</exception>
    /// <exception cref="HotpotTimeoutException">Others kept them for longer than <paramref name="timeout"/>.</exception>
    public Task<IGrant> AcquireAsync(
        ByteRange range, TimeSpan? timeout = null, AcquireMode mode = AcquireMode.Exclusive, CancellationToken cancellationToken = default)
    {
        range.CheckInside(Size, Name);
        return Node("acquired").Acquirer.AcquireAsync(Description, range, mode, timeout ?? DefaultTimeout, cancellationToken);
    }

    /// <summary>
    /// Who orders the commits to a byte, as far as this node knows; none while nobody has committed to its chunk. Commits to bytes of one owner are
    /// cheaper in one transaction. It may change at any time.
    /// </summary>
    public NodeId OwnerOf(long offset)
    {
        new ByteRange(offset, 1).CheckInside(Size, Name);
        return Node("looked at").OwnerOf(Id, Description.ChunkOf(offset));
    }

    /// <summary>How the dataset stands in the cluster, and what each node holds of it.</summary>
    public async Task<DatasetStatus> StatAsync(CancellationToken cancellationToken = default)
    {
        DatasetHealth health = await TransientFailures.RetryAsync(() => _grains.DatasetGrain(Id).GetHealthAsync(), cancellationToken);
        Task<NodeDatasetStatus?>[] asked = [.. health.Members.Select(member => StatNodeAsync(member, cancellationToken))];
        NodeDatasetStatus?[] answers = await Task.WhenAll(asked);
        return new DatasetStatus
        {
            Description = Description,
            Health = health,
            Nodes = [.. answers.OfType<NodeDatasetStatus>()],
            Unreachable = [.. health.Members.Where((_, i) => answers[i] is null)],
        };
    }

    public override string ToString() => $"{Name} ({Id}, {Size} bytes at 0x{BaseAddress:x})";

    private ByteRange Whole => new(0, Size);

    private async Task<NodeDatasetStatus?> StatNodeAsync(NodeId member, CancellationToken cancellationToken)
    {
        try
        {
            return await _grains.NodeGrain(member).StatDatasetAsync(Id).WaitAsync(cancellationToken);
        }
        catch (Exception failure) when (TransientFailures.IsTransient(failure))
        {
            return null;
        }
    }

    private void CheckRanges(IReadOnlyList<ByteRange> ranges)
    {
        // Not foreach, which allocates an enumerator: every commit comes here.
        for (int i = 0; i < ranges.Count; i++)
            ranges[i].CheckInside(Size, Name);
    }

    private IHotpotNode Node(string what) =>
        _node ?? throw new NoSiloHereException(
            $"Dataset '{Name}' cannot be {what} here because this process runs no silo; do it in a grain or a hosted service of a silo, or use ReadAsync and WriteAsync.");
}
