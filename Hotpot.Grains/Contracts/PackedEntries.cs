using Hotpot.Grains.Dataset;

namespace Hotpot.Grains;

/// <summary>Chunk entries, ascending, as they travel: some bytes for a run of chunks that are alike, however long it is (ChunkEntryCodec).</summary>
[GenerateSerializer]
[Immutable]
[Alias("hotpot.PackedEntries")]
public sealed record PackedEntries
{
    [Id(0)] public required byte[] Bytes { get; init; }

    public static PackedEntries Of(IEnumerable<ChunkEntry> ascending)
    {
        Leb128Writer writer = new();
        ChunkEntryCodec.Write(writer, ascending);
        return new PackedEntries { Bytes = writer.ToArray() };
    }

    /// <summary>Throws <see cref="InvalidDataException"/> for bytes that no silo of this build sends.</summary>
    public ChunkEntry[] Unpack()
    {
        Leb128Reader reader = new(Bytes);
        List<ChunkEntry> entries = ChunkEntryCodec.Read(ref reader, uint.MaxValue, ChunkMapPage.MaxEntries);
        reader.ExpectEnd();
        return [.. entries];
    }
}
