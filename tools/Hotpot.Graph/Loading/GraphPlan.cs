using System.Numerics;
using Hotpot.Graph.Storage;

namespace Hotpot.Graph.Loading;

/// <summary>Everything about a graph's place in a dataset that does not depend on where the dataset lies. Made alike on every node from the same edges. Immutable once made.</summary>
public sealed class GraphPlan
{
    public const int PartitionsMax = 64;

    public GraphPlan(EdgeList edges, GraphOptions options, long chunkBytes)
    {
        ArgumentNullException.ThrowIfNull(edges);
        ArgumentNullException.ThrowIfNull(options);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(options.Partitions);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(options.Partitions, PartitionsMax);
        if (chunkBytes < Limits.PageBytes || !BitOperations.IsPow2(chunkBytes))
            throw new ArgumentOutOfRangeException(nameof(chunkBytes), chunkBytes, "A chunk is a power of two of bytes, and a page at least.");
        Flags = (options.Symmetric ? GraphFlags.Symmetric : 0) | (options.Scatter ? GraphFlags.Scatter : 0)
            | (HasWeights(edges) ? GraphFlags.Weighted : 0);
        HubDegree = options.HubDegree;
        VertexCount = edges.VertexCount;
        EdgeCount = edges.EdgeCount;
        Order = new VertexOrder(edges);
        Cut = new VertexCut(edges, Order, options.Partitions, options.HubDegree);
        Partitions = new PartitionLayout[options.Partitions];
        Bytes = PartitionLayout.AlignUp(HeaderBytes, chunkBytes);
        for (var partition = 0; partition < Partitions.Length; partition++)
        {
            Partitions[partition] = new PartitionLayout(Cut, partition, Flags, Bytes);
            Bytes = PartitionLayout.AlignUp(Partitions[partition].End, chunkBytes);
        }

        foreach (var partition in Partitions)
        {
            partition.PlaceWritten(Bytes);
            Bytes = PartitionLayout.AlignUp(partition.WrittenEnd, chunkBytes);
        }
    }

    public uint VertexCount { get; }

    public long EdgeCount { get; }

    public int PartitionCount => Partitions.Length;

    /// <summary>What the dataset must be large at least.</summary>
    public long Bytes { get; }

    public GraphFlags Flags { get; }

    public uint HubDegree { get; }

    /// <summary>Mirrors for each vertex with edges, the master included: what a vertex cut is judged by.</summary>
    public double Replication => 1 + (Partitions.Sum(partition => partition.ExportCount.Sum(count => (double)count)) / Math.Max(1, Order.PlacedCount));

    internal VertexOrder Order { get; }

    internal VertexCut Cut { get; }

    internal PartitionLayout[] Partitions { get; }

    /// <summary>The root, the partitions' headers, and their links.</summary>
    internal unsafe long HeaderBytes => sizeof(GraphRoot) + (Partitions.Length * (long)sizeof(Partition)) + ((long)Partitions.Length * Partitions.Length * sizeof(Link));

    private static unsafe bool HasWeights(EdgeList edges) => edges.Weight is not null;
}
