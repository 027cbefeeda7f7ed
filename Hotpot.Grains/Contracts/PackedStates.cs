using Hotpot.Grains.Dataset;

namespace Hotpot.Grains;

/// <summary>Chunks as they travel: their indexes as LEB128.</summary>
[GenerateSerializer]
[Immutable]
[Alias("hotpot.PackedChunks")]
public sealed record PackedChunks
{
    [Id(0)] public required int Count { get; init; }

    [Id(1)] public required byte[] Bytes { get; init; }

    public static PackedChunks Of(IReadOnlyCollection<ChunkIndex> chunks)
    {
        Leb128Writer writer = new();
        foreach (ChunkIndex chunk in chunks)
            writer.Put(chunk.Value);
        return new PackedChunks { Count = chunks.Count, Bytes = writer.ToArray() };
    }

    /// <summary>Throws <see cref="InvalidDataException"/> for bytes that no silo of this build sends.</summary>
    public HashSet<ChunkIndex> Unpack()
    {
        HashSet<ChunkIndex> chunks = [];
        Leb128Reader reader = new(Bytes);
        for (int i = 0; i < Count; i++)
            chunks.Add(new ChunkIndex((uint)reader.TakeCount(int.MaxValue)));
        reader.ExpectEnd();
        return chunks;
    }
}

/// <summary>What a node holds of chunks, as it travels: for each chunk its index, flags (1: held, 2: complete), pending transactions, epoch and sequence as LEB128.</summary>
[GenerateSerializer]
[Immutable]
[Alias("hotpot.PackedStates")]
public sealed record PackedStates
{
    private const int Held = 1;
    private const int Complete = 2;

    [Id(0)] public required int Count { get; init; }

    [Id(1)] public required byte[] Bytes { get; init; }

    public static PackedStates Of(IReadOnlyCollection<ChunkState> states)
    {
        Leb128Writer writer = new();
        foreach (ChunkState state in states)
        {
            writer.Put(state.Chunk.Value);
            writer.Put((ulong)((state.Held ? Held : 0) | (state.Complete ? Complete : 0)));
            writer.Put((ulong)state.Pending);
            writer.Put(state.Epoch.Value);
            writer.Put(state.Sequence.Value);
        }
        return new PackedStates { Count = states.Count, Bytes = writer.ToArray() };
    }

    /// <summary>Throws <see cref="InvalidDataException"/> for bytes that no silo of this build sends.</summary>
    public List<ChunkState> Unpack()
    {
        List<ChunkState> states = [];
        Leb128Reader reader = new(Bytes);
        for (int i = 0; i < Count; i++)
        {
            ChunkIndex chunk = new((uint)reader.TakeCount(int.MaxValue));
            int flags = reader.TakeCount(Held | Complete);
            states.Add(new ChunkState
            {
                Chunk = chunk,
                Held = (flags & Held) != 0,
                Complete = (flags & Complete) != 0,
                Pending = reader.TakeCount(int.MaxValue),
                Epoch = new Epoch(reader.Take()),
                Sequence = new CommitSequence(reader.Take()),
            });
        }
        reader.ExpectEnd();
        return states;
    }
}
