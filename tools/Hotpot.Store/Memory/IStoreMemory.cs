namespace Hotpot.Store.Memory;

/// <summary>What the store needs of a dataset: tests put memory of their own in its place.</summary>
internal interface IStoreMemory : IDisposable
{
    /// <summary>For loads only.</summary>
    unsafe byte* Base { get; }

    long Bytes { get; }

    /// <summary>The unit of ownership, which is also the store's stripe.</summary>
    long ChunkBytes { get; }

    /// <summary>Makes bytes durable and visible everywhere, all of them or none.</summary>
    Task WriteAsync(IReadOnlyList<ByteWrite> writes, CancellationToken cancellationToken);

    /// <summary>Who orders commits to a byte, by a number: commits to bytes of one owner are cheaper in one transaction.</summary>
    ulong OwnerOf(long offset);

    /// <summary>A lock among all processes, of pages that are never written. One caller at a time for each range.</summary>
    Task<IAsyncDisposable> LockAsync(ByteRange range, bool isExclusive, CancellationToken cancellationToken);
}
