namespace Hotpot.Grains.Commit;

/// <summary>The commit node's side of a commit. One per silo; safe for concurrent use.</summary>
public interface ICommitter
{
    /// <summary>
    /// Commits what the application stored in these ranges of its mapping, across all datasets named, atomically. A dataset with no
    /// ranges means its whole mapping. Returns when the bytes are durable at the degree asked for and every sharer shows them.
    /// </summary>
    /// <exception cref="DegreeException">Too few replicas; <see cref="DegreeException.Committed"/> says whether it happened all the same.</exception>
    /// <exception cref="ConflictException">FailOnConflict, and another commit was first; nothing was applied.</exception>
    /// <exception cref="NotAcquiredException">A single-writer dataset, and some page is not granted to this node.</exception>
    /// <exception cref="OutcomeUnknownException">The time ran out while the outcome could not be learned; the commit may have happened.</exception>
    Task<CommitResult> CommitAsync(IReadOnlyList<CommitScope> scopes, CommitOptions options, CancellationToken cancellationToken);

    /// <summary>Commits explicit bytes; needs no mapping. Same promises and errors as a commit of stores.</summary>
    Task<CommitResult> WriteAsync(DatasetDescription dataset, long offset, ReadOnlyMemory<byte> bytes, CommitOptions options, CancellationToken cancellationToken);

    /// <summary>Commits explicit bytes at several places as one transaction. Where two of them meet, the later one wins.</summary>
    Task<CommitResult> WriteAsync(DatasetDescription dataset, IReadOnlyList<ByteWrite> writes, CommitOptions options, CancellationToken cancellationToken);
}

/// <summary>A dataset and the ranges of it to commit; none: the whole mapping.</summary>
public sealed record CommitScope(DatasetDescription Dataset, IReadOnlyList<ByteRange> Ranges);
