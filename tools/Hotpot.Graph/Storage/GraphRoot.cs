using System.Runtime.InteropServices;

namespace Hotpot.Graph.Storage;

// How a graph lies in a dataset.
//
// Problem: a graph of many millions of edges is loaded once and computed on for years, by any node, without being read in again; and a load of an edge must
// cost what it costs in an array.
//
// Scheme: the dataset begins with a root, which points at one Partition for each part of the graph; those point at arrays. All pointers are plain addresses: a
// dataset lies at the same address on every node and after every restart.
//
//   root | partition 0: header, links, arrays that never change | partition 1: ... | partition 0: what steps write | partition 1: ...
//
// Vertices are numbered anew by the loader (placed numbers): the one with the most out-edges first, those without any edge not at all. What is looked up most, the
// signals of vertices with many out-edges, is so packed into few cache lines. Partition p masters the vertices p, p + n, p + 2n, ...: each gets its share of the hubs,
// and the owner of a vertex is a remainder, not a table.
//
// Inside a partition vertices have local numbers: the masters first, then the mirrors by the partition that masters them. The edges of a partition are
// a CSR: a row for each master and for each mirror that gathers here, in it the local numbers of the vertices at the other ends.
//
//   masters 0..M | mirrors of partition 0 | mirrors of partition 1 | ...          signals have these numbers
//   masters 0..M | hub rows for partition 0 | hub rows for partition 1 | ...      rows (sums) have these numbers
//
// Everything that one partition writes in a step is in a region of its own, on chunks of its own, so each chunk has one writer, who becomes its owner.
//
// The root comes last: whoever finds its magic finds a whole graph.

/// <summary>The first bytes of the dataset.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct GraphRoot
{
    public const ulong MagicValue = 0x3148_5052_4754_5048; // "HPTGRPH1" as eight little-endian bytes.

    public ulong Magic;

    /// <summary>Vertices of the graph, with those that have no edge.</summary>
    public uint VertexCount;

    /// <summary>Vertices with an edge.</summary>
    public uint PlacedCount;

    public ulong EdgeCount;
    public int PartitionCount;
    public GraphFlags Flags;

    /// <summary>In-edges from which on a vertex is a hub, whose in-edges lie with their sources.</summary>
    public uint HubDegree;
    public uint Reserved;

    public Partition* Partitions;
}

[Flags]
public enum GraphFlags : uint
{
    None = 0,

    /// <summary>Every edge is there in both directions.</summary>
    Symmetric = 1,

    /// <summary>Every edge has a weight.</summary>
    Weighted = 2,

    /// <summary>Partitions have their edges by source too, as programs need that look only where something changed.</summary>
    Scatter = 4,
}

/// <summary>One part of the graph: the vertices it masters, and the edges that lie in it.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct Partition
{
    public uint Index;
    public uint MasterCount;

    /// <summary>Masters and mirrors.</summary>
    public uint LocalCount;

    /// <summary>Masters and hub rows: mirrors that gather here.</summary>
    public uint RowCount;
    public uint EdgeCount;

    /// <summary>Masters that gather in other partitions too.</summary>
    public uint HubCount;

    /// <summary>uint[RowCount + 1]: where each row's edges begin.</summary>
    public uint* RowStart;

    /// <summary>uint[EdgeCount]: local numbers of sources, ascending in each row.</summary>
    public uint* Source;

    /// <summary>uint[EdgeCount] beside <see cref="Source"/>, or null.</summary>
    public uint* Weight;

    /// <summary>uint[LocalCount + 1] and uint[EdgeCount]: the same edges by source, rows at their other ends; or null.</summary>
    public uint* ScatterStart;
    public uint* ScatterRow;

    /// <summary>uint[MasterCount]: the numbers that the graph came with.</summary>
    public uint* Id;

    /// <summary>uint[MasterCount]: out-edges in all partitions.</summary>
    public uint* OutDegree;

    /// <summary>uint[HubCount]: local numbers, ascending.</summary>
    public uint* Hub;

    /// <summary>One for each partition; the one of this partition itself is empty.</summary>
    public Link* Links;

    /// <summary>What the steps of this partition write: sums, states, signals for mirrors, partial sums. <see cref="WrittenBytes"/> long.</summary>
    public StepSums* Sums;
    public void* States;
    public long WrittenBytes;
}

/// <summary>What goes from one partition (the one whose header this is) to another.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct Link
{
    /// <summary>uint[ExportCount]: which masters have a mirror there; their signals go to <see cref="Exports"/> in this order.</summary>
    public uint* ExportMaster;
    public void* Exports;

    /// <summary>The hub rows of this partition from <see cref="FirstPartialRow"/> on gather for masters there; their sums go to <see cref="Partials"/>.</summary>
    public void* Partials;

    /// <summary>uint[PartialCount]: for which place in the other partition's <see cref="Partition.Hub"/> each one is.</summary>
    public uint* PartialHub;
    public uint ExportCount;
    public uint PartialCount;
    public uint FirstPartialRow;

    /// <summary>Where the mirrors of the other partition's masters begin in this one.</summary>
    public uint FirstMirror;
}

/// <summary>What one partition has found in one step, for all to add up.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct StepSums
{
    /// <summary>Vertices whose neighbours must look again.</summary>
    public ulong Changed;

    /// <summary>The program's own sum over its vertices.</summary>
    public double Total;
}
