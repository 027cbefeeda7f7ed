using System.Runtime.InteropServices;

namespace Hotpot.Graph.Loading;

/// <summary>The bytes of one partition that never change, made in ordinary memory before they are written into the dataset.</summary>
public sealed unsafe class PartitionImage : IDisposable
{
    // Freed, and set to null, by Dispose.
    private byte* _bytes;

    public PartitionImage(GraphPlan plan, EdgeList edges, int partition)
    {
        ArgumentNullException.ThrowIfNull(plan);
        ArgumentNullException.ThrowIfNull(edges);
        if (edges.EdgeCount != plan.EdgeCount || edges.VertexCount != plan.VertexCount)
            throw new GraphException("These are not the edges that the plan was made from; make the plan and the images from one list.");
        var layout = plan.Partitions[partition];
        Offset = layout.Begin;
        Length = layout.End - layout.Begin;
        _bytes = (byte*)NativeMemory.AllocZeroed((nuint)Length + 1);
        Fill(plan, edges, partition, layout);
    }

    /// <summary>Where in the dataset it belongs.</summary>
    public long Offset { get; }

    public long Length { get; }

    public byte* Bytes => _bytes;

    /// <summary>Bytes from an offset within the image on.</summary>
    public void Copy(long from, Span<byte> to) => new ReadOnlySpan<byte>(_bytes + from, to.Length).CopyTo(to);

    public void Dispose()
    {
        NativeMemory.Free(_bytes);
        _bytes = null;
    }

    private uint* At(long offset) => (uint*)(_bytes + (offset - Offset));

    private void Fill(GraphPlan plan, EdgeList edges, int partition, PartitionLayout layout)
    {
        var order = plan.Order;
        var cut = plan.Cut;
        var count = (uint)cut.PartitionCount;
        // By placed number: the local number, and the row. Places that are not here are never looked at.
        var local = new uint[order.PlacedCount];
        var row = new uint[order.PlacedCount];
        for (uint master = 0; master < layout.MasterCount; master++)
        {
            var placed = (master * count) + (uint)partition;
            local[placed] = row[placed] = master;
            At(layout.Id)[master] = order.Id[placed];
            At(layout.OutDegree)[master] = order.OutDegree[order.Id[placed]];
        }

        uint nextLocal = layout.MasterCount, nextRow = layout.MasterCount;
        for (var other = 0; other < count; other++)
        {
            foreach (var placed in cut.Mirrors(other, partition))
                local[placed] = nextLocal++;
            foreach (var placed in cut.HubRows(other, partition))
                row[placed] = nextRow++;
            Write(layout.ExportMaster[other], cut.Mirrors(partition, other).Select(placed => placed / count));
            Write(layout.PartialHub[other], PlacesOf(cut.HubRows(other, partition), cut.Hubs(other)));
        }

        Write(layout.Hub, cut.Hubs(partition).Select(placed => placed / count));
        FillEdges(edges, order, cut, (uint)partition, layout, local, row);
    }

    /// <summary>Sorts the edges by source, and from there into their rows: so a row's sources ascend without being sorted.</summary>
    private void FillEdges(EdgeList edges, VertexOrder order, VertexCut cut, uint partition, PartitionLayout layout, uint[] local, uint[] row)
    {
        var kept = layout.ScatterStart is not null;
        var bySource = new uint[layout.LocalCount + 1];
        var byRow = new uint[layout.RowCount + 1];
        var rows = kept ? At(layout.ScatterRow!.Value) : (uint*)NativeMemory.Alloc((nuint)((layout.EdgeCount * sizeof(uint)) + 1));
        var weights = edges.Weight is null ? null : (uint*)NativeMemory.Alloc((nuint)((layout.EdgeCount * sizeof(uint)) + 1));
        try
        {
            for (var pass = 0; pass < 2; pass++)
            {
                for (long edge = 0; edge < edges.EdgeCount; edge++)
                {
                    uint from = order.Placed[edges.From[edge]], to = order.Placed[edges.To[edge]];
                    if (cut.PartitionOf(edges.To[edge], from, to) != partition)
                        continue;
                    if (pass == 0)
                    {
                        bySource[local[from] + 1]++;
                        byRow[row[to] + 1]++;
                        continue;
                    }

                    var place = bySource[local[from]]++;
                    rows[place] = row[to];
                    if (weights is not null)
                        weights[place] = edges.Weight[edge];
                }

                if (pass == 0)
                {
                    Accumulate(bySource);
                    Accumulate(byRow);
                    byRow.CopyTo(new Span<uint>(At(layout.RowStart), byRow.Length));
                    if (kept)
                        bySource.CopyTo(new Span<uint>(At(layout.ScatterStart!.Value), bySource.Length));
                }
            }

            // The second pass has moved each beginning to its end, which is where the next one begins.
            uint begin = 0;
            for (uint source = 0; source < layout.LocalCount; source++)
            {
                for (; begin < bySource[source]; begin++)
                {
                    var place = byRow[rows[begin]]++;
                    At(layout.Source)[place] = source;
                    if (weights is not null)
                        At(layout.Weight!.Value)[place] = weights[begin];
                }
            }
        }
        finally
        {
            NativeMemory.Free(weights);
            if (!kept)
                NativeMemory.Free(rows);
        }
    }

    private void Write(long offset, IEnumerable<uint> values)
    {
        var next = At(offset);
        foreach (var value in values)
            *next++ = value;
    }

    /// <summary>Where in the second sequence each of the first one is; both ascend.</summary>
    private static IEnumerable<uint> PlacesOf(IEnumerable<uint> some, IEnumerable<uint> all)
    {
        using var next = all.GetEnumerator();
        uint place = uint.MaxValue;
        foreach (var value in some)
        {
            do
            {
                if (!next.MoveNext())
                    throw new System.Diagnostics.UnreachableException("A part of a vertex is gathered that is no hub.");
                place++;
            }
            while (next.Current != value);
            yield return place;
        }
    }

    private static void Accumulate(uint[] counts)
    {
        for (var index = 1; index < counts.Length; index++)
            counts[index] += counts[index - 1];
    }
}
