using Hotpot.Graph.Storage;

namespace Hotpot.Graph.Loading;

/// <summary>Where one partition's arrays lie, as offsets in the dataset. Immutable once made.</summary>
internal sealed class PartitionLayout
{
    // Signals, sums and states may be as large as this each, so that every program finds room in the same graph.
    public const int ValueBytesMax = 8;

    private const int ArrayAlignment = 64;

    public PartitionLayout(VertexCut cut, int partition, GraphFlags flags, long begin)
    {
        var others = Enumerable.Range(0, cut.PartitionCount).ToArray();
        MasterCount = cut.MasterCount(partition);
        EdgeCount = cut.EdgeCount[partition];
        if (EdgeCount > uint.MaxValue)
            throw new GraphException($"Partition {partition} would have {EdgeCount} edges and can have {uint.MaxValue}; cut the graph into more partitions.");
        ExportCount = [.. others.Select(other => (uint)cut.Mirrors(partition, other).Count())];
        MirrorCount = [.. others.Select(other => (uint)cut.Mirrors(other, partition).Count())];
        PartialCount = [.. others.Select(other => (uint)cut.HubRows(other, partition).Count())];
        HubCount = (uint)cut.Hubs(partition).Count();
        LocalCount = MasterCount + (uint)MirrorCount.Sum(count => count);
        RowCount = MasterCount + (uint)PartialCount.Sum(count => count);

        Begin = End = begin;
        RowStart = Take((RowCount + 1L) * sizeof(uint));
        Source = Take(EdgeCount * sizeof(uint));
        Weight = flags.HasFlag(GraphFlags.Weighted) ? Take(EdgeCount * sizeof(uint)) : null;
        ScatterStart = flags.HasFlag(GraphFlags.Scatter) ? Take((LocalCount + 1L) * sizeof(uint)) : null;
        ScatterRow = flags.HasFlag(GraphFlags.Scatter) ? Take(EdgeCount * sizeof(uint)) : null;
        Id = Take((long)MasterCount * sizeof(uint));
        OutDegree = Take((long)MasterCount * sizeof(uint));
        Hub = Take((long)HubCount * sizeof(uint));
        ExportMaster = [.. ExportCount.Select(count => Take((long)count * sizeof(uint)))];
        PartialHub = [.. PartialCount.Select(count => Take((long)count * sizeof(uint)))];
    }

    public uint MasterCount { get; }

    public uint LocalCount { get; }

    public uint RowCount { get; }

    public long EdgeCount { get; }

    public uint HubCount { get; }

    /// <summary>By partition, like every array here.</summary>
    public uint[] ExportCount { get; }

    public uint[] MirrorCount { get; }

    public uint[] PartialCount { get; }

    public long Begin { get; }

    /// <summary>Behind what never changes.</summary>
    public long End { get; private set; }

    public long RowStart { get; }

    public long Source { get; }

    public long? Weight { get; }

    public long? ScatterStart { get; }

    public long? ScatterRow { get; }

    public long Id { get; }

    public long OutDegree { get; }

    public long Hub { get; }

    public long[] ExportMaster { get; }

    public long[] PartialHub { get; }

    // What steps write; placed by PlaceWritten, once.
    public long Sums { get; private set; }

    public long States { get; private set; }

    public long[] Exports { get; private set; } = [];

    public long[] Partials { get; private set; } = [];

    public long WrittenEnd { get; private set; }

    public void PlaceWritten(long begin)
    {
        var constantEnd = End;
        Sums = End = begin;
        End += Limits.PageBytes;
        States = Take((long)MasterCount * ValueBytesMax);
        Exports = [.. ExportCount.Select(count => TakePages((long)count * ValueBytesMax))];
        Partials = [.. PartialCount.Select(count => TakePages((long)count * ValueBytesMax))];
        WrittenEnd = End;
        End = constantEnd;
    }

    public static long AlignUp(long offset, long to) => (offset + to - 1) / to * to;

    /// <summary>Different readers read different exports, so they share no page.</summary>
    private long TakePages(long bytes)
    {
        End = AlignUp(End, Limits.PageBytes);
        return Take(bytes);
    }

    private long Take(long bytes)
    {
        var at = AlignUp(End, ArrayAlignment);
        End = at + bytes;
        return at;
    }
}
