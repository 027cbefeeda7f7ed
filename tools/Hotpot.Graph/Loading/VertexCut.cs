using System.Collections;

namespace Hotpot.Graph.Loading;

// Which partition an edge lies in, and what follows from it.
//
// Problem: in the graphs of the world a few vertices have most of the edges. Whoever gets such a vertex with all its edges has all the work; and dividing the
// vertices well so that few edges cross takes longer than the computation.
//
// Scheme: a vertex cut, as PowerGraph's: edges are divided, and a vertex is wherever it has an edge; one of its places is the master, the others are
// mirrors. Where an edge u -> v goes is decided by v's in-degree (PowerLyra's hybrid cut):
//
//   few in-edges    with v's master. All of v is gathered in one place, no partial sum travels; the signals of v's sources do
//   a hub           with u's master. Each partition gathers a part of v from sources that are its own, and sends one sum instead of many signals
//
// Masters are dealt in turn by out-degree, so every partition gets its share of the hubs and about as many edges as the others.
//
// Potential weakness: the numbers of a vertex's neighbours say nothing about where they are. A graph with good clusters (roads) is cut as badly as a random one.

/// <summary>The division of the edges and its mirrors; the same everywhere for the same edges and options. Immutable once made.</summary>
internal sealed unsafe class VertexCut
{
    private readonly VertexOrder _order;
    private readonly uint _partitions;
    private readonly uint _hubDegree;

    // By partition, over placed numbers; empty when there is one partition only.
    private readonly BitArray[] _readsSignal;
    private readonly BitArray[] _gathersPart;

    public VertexCut(EdgeList edges, VertexOrder order, int partitions, uint hubDegree)
    {
        _order = order;
        _partitions = (uint)partitions;
        _hubDegree = hubDegree;
        EdgeCount = new long[partitions];
        _readsSignal = Bits();
        _gathersPart = Bits();
        if (partitions == 1)
        {
            EdgeCount[0] = edges.EdgeCount;
            return;
        }

        for (long edge = 0; edge < edges.EdgeCount; edge++)
        {
            uint from = order.Placed[edges.From[edge]], to = order.Placed[edges.To[edge]];
            var where = PartitionOf(edges.To[edge], from, to);
            EdgeCount[where]++;
            if (from % _partitions != where)
                _readsSignal[where][(int)from] = true;
            if (to % _partitions != where)
                _gathersPart[where][(int)to] = true;
        }

        BitArray[] Bits() => partitions == 1 ? [] : [.. Enumerable.Range(0, partitions).Select(_ => new BitArray((int)order.PlacedCount))];
    }

    public long[] EdgeCount { get; }

    public int PartitionCount => (int)_partitions;

    public uint MasterCount(int partition) => (_order.PlacedCount - (uint)partition + _partitions - 1) / _partitions;

    /// <param name="target">The edge's end, by the number that the graph came with.</param>
    public uint PartitionOf(uint target, uint placedFrom, uint placedTo) =>
        (_order.InDegree[target] >= _hubDegree ? placedFrom : placedTo) % _partitions;

    /// <summary>The masters of one partition whose signal another one reads: placed numbers, ascending.</summary>
    public IEnumerable<uint> Mirrors(int master, int at) => Members(_readsSignal, master, at);

    /// <summary>The masters of one partition that another one gathers a part of: placed numbers, ascending.</summary>
    public IEnumerable<uint> HubRows(int master, int at) => Members(_gathersPart, master, at);

    /// <summary>The masters of a partition that are gathered in parts elsewhere: placed numbers, ascending.</summary>
    public IEnumerable<uint> Hubs(int master)
    {
        for (var placed = (uint)master; placed < _order.PlacedCount && _partitions > 1; placed += _partitions)
        {
            if (_gathersPart.Any(part => part[(int)placed]))
                yield return placed;
        }
    }

    private IEnumerable<uint> Members(BitArray[] bits, int master, int at)
    {
        for (var placed = (uint)master; placed < _order.PlacedCount && master != at; placed += _partitions)
        {
            if (bits[at][(int)placed])
                yield return placed;
        }
    }
}
