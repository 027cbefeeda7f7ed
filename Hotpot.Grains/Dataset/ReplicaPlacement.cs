namespace Hotpot.Grains.Dataset;

/// <summary>
/// Which nodes hold a chunk beside its owner: those with the highest rendezvous hash. The choice depends on the nodes and the chunk
/// alone, so a node that returns is preferred for the chunks it held before, and one that leaves moves only its own.
/// </summary>
internal static class ReplicaPlacement
{
    /// <summary>Up to <paramref name="count"/> of the candidates, best first.</summary>
    public static NodeId[] Choose(DatasetId dataset, ChunkIndex chunk, IEnumerable<NodeId> candidates, int count) =>
        [.. candidates.OrderByDescending(node => Weight(dataset, chunk, node)).ThenBy(node => node).Take(Math.Max(count, 0))];

    private static ulong Weight(DatasetId dataset, ChunkIndex chunk, NodeId node) =>
        Mix(node.Value ^ Mix(dataset.Value ^ Mix(chunk.Value + 1UL)));

    // The finaliser of SplitMix64: every input bit reaches every output bit, which rendezvous hashing needs and a product alone lacks.
    private static ulong Mix(ulong value)
    {
        value += 0x9e3779b97f4a7c15;
        value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9;
        value = (value ^ value >> 27) * 0x94d049bb133111eb;
        return value ^ value >> 31;
    }
}
