namespace Hotpot.Runtime;

/// <summary>How nodes share a dataset (hp_mode).</summary>
public enum SharingMode
{
    /// <summary>Several nodes may change a page at once; a commit carries only the bytes that its node changed.</summary>
    MultiWriter = 0,

    /// <summary>A commit without the grant for its pages is an error.</summary>
    SingleWriter = 1,
}

/// <summary>What every node must agree on about a dataset before it can open it. It never changes after creation.</summary>
[GenerateSerializer]
public sealed record DatasetDescription
{
    [Id(0)] public required DatasetId Id { get; init; }

    [Id(1)] public required string Name { get; init; }

    /// <summary>Where the view is mapped, in every process and after every restart.</summary>
    [Id(2)] public required ulong BaseAddress { get; init; }

    /// <summary>Bytes, a multiple of the page size.</summary>
    [Id(3)] public required long Size { get; init; }

    [Id(4)] public required int ChunkLog2 { get; init; }

    [Id(5)] public required int Degree { get; init; }

    [Id(6)] public required SharingMode Mode { get; init; }

    public long ChunkBytes => 1L << ChunkLog2;

    public uint ChunkCount => checked((uint)((Size + ChunkBytes - 1) >> ChunkLog2));

    public ChunkIndex ChunkOf(long offset) => new(checked((uint)(offset >> ChunkLog2)));
}
