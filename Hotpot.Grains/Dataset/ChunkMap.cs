using System.Diagnostics;

namespace Hotpot.Grains.Dataset;

/// <summary>
/// The configuration of a dataset at one version: immutable, so a grain publishes it to interleaved readers by one assignment. A
/// chunk without an entry has no owner yet and reads as zeros.
/// </summary>
internal sealed class ChunkMap
{
    private readonly ChunkEntry?[] _entries;
    private readonly ulong[] _changedAt;

    // Computed at the first use; a second thread that computes it too gets the same.
    private ChunkMapCounts? _counts;

    private ChunkMap(ChunkEntry?[] entries, ulong[] changedAt, ulong version)
    {
        _entries = entries;
        _changedAt = changedAt;
        Version = version;
    }

    /// <summary>Grows by one with each change. Entries read from storage count as changed at the version they were read at.</summary>
    public ulong Version { get; }

    public uint ChunkCount => (uint)_entries.Length;

    public ChunkEntry? this[ChunkIndex chunk] => _entries[chunk.Value];

    /// <summary>What maintenance asks at every look, so that a large map without work is not walked through each time.</summary>
    public ChunkMapCounts Counts => _counts ??= Count();

    public IEnumerable<ChunkEntry> Assigned => _entries.Where(entry => entry is not null)!;

    public static ChunkMap Empty(uint chunkCount) => new(new ChunkEntry?[chunkCount], new ulong[chunkCount], 0);

    /// <summary>A map as it was stored.</summary>
    public static ChunkMap Restore(uint chunkCount, ulong version, IEnumerable<ChunkEntry> entries)
    {
        ChunkMap map = new(new ChunkEntry?[chunkCount], new ulong[chunkCount], version);
        foreach (ChunkEntry entry in entries)
        {
            map._entries[entry.Chunk.Value] = entry;
            map._changedAt[entry.Chunk.Value] = version;
        }
        return map;
    }

    /// <summary>The next version, with these entries in place of the ones they replace.</summary>
    public ChunkMap With(IReadOnlyCollection<ChunkEntry> changes)
    {
        ChunkMap next = new((ChunkEntry?[])_entries.Clone(), (ulong[])_changedAt.Clone(), checked(Version + 1));
        foreach (ChunkEntry change in changes)
        {
            AssertSuccessor(_entries[change.Chunk.Value], change);
            next._entries[change.Chunk.Value] = change;
            next._changedAt[change.Chunk.Value] = next.Version;
        }
        return next;
    }

    /// <summary>The entries that changed after a version, from a chunk on, at most <paramref name="max"/>; the rest by <c>Next</c>.</summary>
    public ChunkMapPage Page(ulong sinceVersion, ChunkIndex from, int max = ChunkMapPage.MaxEntries)
    {
        List<ChunkEntry> page = [];
        ChunkIndex? next = null;
        for (uint chunk = from.Value; chunk < ChunkCount; chunk++)
        {
            if (_entries[chunk] is not { } entry || _changedAt[chunk] <= sinceVersion)
                continue;
            if (page.Count == max)
            {
                next = new ChunkIndex(chunk);
                break;
            }
            page.Add(entry);
        }
        return new ChunkMapPage { Version = Version, Entries = PackedEntries.Of(page), Next = next };
    }

    private ChunkMapCounts Count()
    {
        ChunkMapCounts counts = new();
        foreach (ChunkEntry? entry in _entries)
        {
            if (entry is null)
                continue;
            counts.Assigned++;
            if (entry.Phase == ChunkPhase.Recovering)
                counts.Recovering++;
            if (entry.Owner.IsNone)
                counts.Waiting++;
            else
                counts.Counted[entry.CountedReplicas]++;
            counts.Joining += (uint)(entry.Replicas.Length - entry.CountedReplicas);
        }
        return counts;
    }

    /// <summary>
    /// Invariants of one entry: an owner is the first replica and counted; replicas are distinct and within the bound; nobody owns a
    /// chunk that is served; joining bits name replicas.
    /// </summary>
    public static void AssertInvariants(ChunkEntry entry)
    {
        Check(entry.Epoch.Value >= 1, entry);
        Check(entry.Replicas.Length is >= 1 and <= Limits.MaxDegree, entry);
        Check(entry.Replicas.Distinct().Count() == entry.Replicas.Length, entry);
        Check(!entry.Replicas.Contains(NodeId.None), entry);
        Check(entry.JoiningMask >> entry.Replicas.Length == 0, entry);
        if (entry.Owner.IsNone)
            Check(entry.Phase == ChunkPhase.Recovering && entry.JoiningMask == 0, entry);
        else
            Check(entry.Replicas[0] == entry.Owner && (entry.JoiningMask & 1) == 0, entry);
    }

    /// <summary>An entry is replaced only by a newer one.</summary>
    private static void AssertSuccessor(ChunkEntry? before, ChunkEntry after)
    {
        AssertInvariants(after);
        if (before is null)
            Check(after.Epoch == Epoch.First, after);
        else
            Check(ConfigurationDecision.IsNewer(before, after), after);
    }

    // Our own defect, never a peer's: an impossible map must not be stored, let alone installed, so this throws in release too.
    private static void Check(bool holds, ChunkEntry entry)
    {
        if (!holds)
            throw new UnreachableException($"The chunk map would break its own rules: {entry} [{string.Join(", ", entry.Replicas)}].");
    }
}
