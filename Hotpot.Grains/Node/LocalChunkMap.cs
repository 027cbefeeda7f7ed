using System.Collections;
using Hotpot.Grains.Dataset;

namespace Hotpot.Grains.Node;

/// <summary>
/// The chunk map of one dataset as this node has it installed. The engine has its own copy for the data path; this one answers managed
/// questions: where to send a request, and whether an ownership has lasted since a grant was given.
/// </summary>
internal sealed class LocalChunkMap(DatasetDescription dataset)
{
    private readonly Lock _lock = new();

    // All are written by Apply under _lock and read under it.
    private readonly ChunkEntry?[] _entries = new ChunkEntry?[dataset.ChunkCount];
    private readonly ulong[] _ownerSince = new ulong[dataset.ChunkCount];
    private readonly BitArray _ownedFromFirst = new((int)dataset.ChunkCount);
    private ulong _stamp;

    /// <summary>Takes what is newer and ignores the rest, exactly as the engine does.</summary>
    /// <param name="isMember">
    /// The dataset grain knows this life of the node. Before that, an entry of the first epoch may tell of an earlier life, so it does not prove that nobody owned the chunk.
    /// </param>
    public void Apply(IReadOnlyList<ChunkEntry> entries, bool isMember)
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
                {
                    _ownerSince[entry.Chunk.Value] = _stamp;
                    _ownedFromFirst[(int)entry.Chunk.Value] = isMember && entry.Epoch == Epoch.First;
                }
                _entries[entry.Chunk.Value] = entry;
            }
        }
    }

    public ChunkEntry? Find(ChunkIndex chunk)
    {
        lock (_lock)
            return _entries[chunk.Value];
    }

    /// <summary>A point in this map's history, for <see cref="PartsOwnedSince"/>.</summary>
    public ulong Stamp
    {
        get
        {
            lock (_lock)
                return _stamp;
        }
    }

    /// <summary>When the present owner's tenure began, and whether nobody owned the chunk before.</summary>
    public (ulong Since, bool IsFirst) Tenure(ChunkIndex chunk)
    {
        lock (_lock)
            return (_ownerSince[chunk.Value], _ownedFromFirst[(int)chunk.Value]);
    }

    /// <summary>The chunks that the node owns and serves after another owner, ascending, with the beginnings of its tenures.</summary>
    public List<(ChunkIndex Chunk, ulong Since)> TakenOver(NodeId owner)
    {
        List<(ChunkIndex Chunk, ulong Since)> chunks = [];
        lock (_lock)
        {
            for (int i = 0; i < _entries.Length; i++)
            {
                if (_entries[i] is { Phase: ChunkPhase.Active } entry && entry.Owner == owner && !_ownedFromFirst[i])
                    chunks.Add((entry.Chunk, _ownerSince[i]));
            }
        }
        return chunks;
    }

    /// <summary>The parts of the range whose chunks the node has owned without a break since the stamp was taken; neighbours in one.</summary>
    public IReadOnlyList<ByteRange> PartsOwnedSince(NodeId owner, ByteRange range, ulong stamp)
    {
        List<ByteRange> parts = [];
        lock (_lock)
        {
            foreach (ChunkIndex chunk in dataset.ChunksOf(range))
            {
                if (_entries[chunk.Value]?.Owner == owner && _ownerSince[chunk.Value] <= stamp)
                    parts.AddMerged(dataset.RangeOf(chunk).Intersect(range));
            }
        }
        return parts;
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

    public static ByteRange Intersect(this ByteRange left, ByteRange right)
    {
        long start = Math.Max(left.Offset, right.Offset);
        return new ByteRange(start, Math.Max(0, Math.Min(left.End, right.End) - start));
    }

    /// <summary>Appends a range to an ascending list, as one with the last when they touch.</summary>
    public static void AddMerged(this List<ByteRange> ranges, ByteRange range)
    {
        if (ranges is [.., var last] && last.End >= range.Offset)
            ranges[^1] = new ByteRange(last.Offset, Math.Max(last.End, range.End) - last.Offset);
        else
            ranges.Add(range);
    }

    /// <summary>The bytes of ascending chunks; neighbours in one.</summary>
    public static List<ByteRange> RangesOf(this DatasetDescription dataset, IEnumerable<ChunkIndex> chunks)
    {
        List<ByteRange> ranges = [];
        foreach (ChunkIndex chunk in chunks)
            ranges.AddMerged(dataset.RangeOf(chunk));
        return ranges;
    }

    /// <summary>The whole pages around a range.</summary>
    public static ByteRange PagesOf(this DatasetDescription dataset, ByteRange range)
    {
        long start = range.Offset / Limits.PageBytes * Limits.PageBytes;
        long end = (range.End + Limits.PageBytes - 1) / Limits.PageBytes * Limits.PageBytes;
        return new ByteRange(start, Math.Min(end, dataset.Size) - start);
    }
}
