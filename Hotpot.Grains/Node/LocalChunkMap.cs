using Hotpot.Grains.Dataset;

namespace Hotpot.Grains.Node;

/// <summary>
/// The chunk map of one dataset as this node has it installed. The engine has its own copy for the data path; this one answers managed
/// questions: where to send a request, and whether an ownership has lasted since a grant was given.
/// </summary>
internal sealed class LocalChunkMap(DatasetDescription dataset)
{
    private readonly Lock _lock = new();

    // All three are written by Apply under _lock and read under it.
    private readonly ChunkEntry?[] _entries = new ChunkEntry?[dataset.ChunkCount];
    private readonly ulong[] _ownerSince = new ulong[dataset.ChunkCount];
    private ulong _stamp;

    /// <summary>Takes what is newer and ignores the rest, exactly as the engine does.</summary>
    public void Apply(IReadOnlyList<ChunkEntry> entries)
    {
        lock (_lock)
        {
            _stamp++;
            foreach (ChunkEntry entry in entries)
            {
                ChunkEntry? known = _entries[entry.Chunk.Value];
                if (known is not null && !ConfigurationDecision.IsNewer(known, entry))
                    continue;
                if (known is null || known.Owner != entry.Owner)
                    _ownerSince[entry.Chunk.Value] = _stamp;
                _entries[entry.Chunk.Value] = entry;
            }
        }
    }

    public ChunkEntry? Find(ChunkIndex chunk)
    {
        lock (_lock)
            return _entries[chunk.Value];
    }

    /// <summary>A point in this map's history, for <see cref="IsOwnedSince"/>.</summary>
    public ulong Stamp
    {
        get
        {
            lock (_lock)
                return _stamp;
        }
    }

    /// <summary>The node has owned every chunk of the range without a break since the stamp was taken.</summary>
    public bool IsOwnedSince(NodeId owner, ByteRange range, ulong stamp)
    {
        lock (_lock)
        {
            foreach (ChunkIndex chunk in dataset.ChunksOf(range))
            {
                if (_entries[chunk.Value]?.Owner != owner || _ownerSince[chunk.Value] > stamp)
                    return false;
            }
            return true;
        }
    }
}

internal static class DatasetDescriptionExtensions
{
    /// <summary>The chunks that a range touches; none for an empty range.</summary>
    public static IEnumerable<ChunkIndex> ChunksOf(this DatasetDescription dataset, ByteRange range)
    {
        if (range.IsEmpty)
            yield break;
        for (uint chunk = dataset.ChunkOf(range.Offset).Value; chunk <= dataset.ChunkOf(range.End - 1).Value; chunk++)
            yield return new ChunkIndex(chunk);
    }

    /// <summary>The bytes of one chunk; the last chunk may be shorter than the others.</summary>
    public static ByteRange RangeOf(this DatasetDescription dataset, ChunkIndex chunk)
    {
        long start = (long)chunk.Value << dataset.ChunkLog2;
        return new ByteRange(start, Math.Min(dataset.ChunkBytes, dataset.Size - start));
    }

    /// <summary>The whole pages around a range.</summary>
    public static ByteRange PagesOf(this DatasetDescription dataset, ByteRange range)
    {
        long start = range.Offset / Limits.PageBytes * Limits.PageBytes;
        long end = (range.End + Limits.PageBytes - 1) / Limits.PageBytes * Limits.PageBytes;
        return new ByteRange(start, Math.Min(end, dataset.Size) - start);
    }
}
