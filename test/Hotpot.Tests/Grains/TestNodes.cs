namespace Hotpot.Tests.Grains;

/// <summary>Names for the things that the tests of the grains speak of.</summary>
internal static class TestNodes
{
    public static readonly NodeId A = new(0xa);
    public static readonly NodeId B = new(0xb);
    public static readonly NodeId C = new(0xc);
    public static readonly NodeId D = new(0xd);

    public static readonly NodeId[] All = [A, B, C, D];

    public static readonly DatasetId Dataset = new(7);

    public static ChunkEntry Entry(
        NodeId[] counted, NodeId[]? joining = null, ChunkPhase phase = ChunkPhase.Active, ulong epoch = 3, uint chunk = 0) => new()
        {
            Chunk = new ChunkIndex(chunk),
            Epoch = new Epoch(epoch),
            Phase = phase,
            Owner = counted[0],
            Replicas = [.. counted, .. joining ?? []],
            JoiningMask = ((1u << (joining?.Length ?? 0)) - 1) << counted.Length,
        };

    /// <summary>Nobody owns the chunk; it waits for any of these.</summary>
    public static ChunkEntry Waiting(NodeId[] history, ulong epoch = 3, uint chunk = 0) =>
        Entry(history, phase: ChunkPhase.Recovering, epoch: epoch, chunk: chunk) with { Owner = NodeId.None };

    public static DatasetDescription Description(
        long size = 16 * 4096, int chunkLog2 = 12, int degree = 3, SharingMode mode = SharingMode.MultiWriter) => new()
        {
            Id = Dataset,
            Name = "test",
            BaseAddress = 0x1000_0000_0000,
            Size = size,
            ChunkLog2 = chunkLog2,
            Degree = degree,
            Mode = mode,
        };

    public static IEnumerable<T[]> Subsets<T>(IReadOnlyList<T> items) =>
        Enumerable.Range(0, 1 << items.Count).Select(bits => items.Where((_, i) => (bits >> i & 1) != 0).ToArray());
}
