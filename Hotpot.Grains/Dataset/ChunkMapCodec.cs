namespace Hotpot.Grains.Dataset;

// The stored form of a chunk map.
//
// Problem: a map of 262,144 chunks is 25 MB as records, and it is written whole at each change. Neighbouring chunks nearly always have
// the same configuration, because they were assigned by one commit and failed over together.
//
// Scheme: two numbers in front of the entries as ChunkEntryCodec writes them.
//
//   map := format version entries          numbers are LEB128
//
// Example: three chunks from 0 on, all of node 7 with replica 9, epoch 1, version 4:
//   01 04 | 02 0700000000000000 0900000000000000 | 01 | 00 03 01 00 01 02 00 01 00
internal static class ChunkMapCodec
{
    private const ulong Format = 1;

    public static byte[] Encode(ChunkMap map)
    {
        Leb128Writer writer = new();
        writer.Put(Format);
        writer.Put(map.Version);
        ChunkEntryCodec.Write(writer, map.Assigned);
        return writer.ToArray();
    }

    /// <summary>Throws <see cref="InvalidDataException"/> for bytes that <see cref="Encode"/> did not write for this dataset.</summary>
    public static ChunkMap Decode(ReadOnlySpan<byte> bytes, uint chunkCount)
    {
        Leb128Reader reader = new(bytes);
        ulong format = reader.Take();
        if (format != Format)
            throw new InvalidDataException($"The stored chunk map has format {format} but this build reads {Format}; use the build that wrote it.");
        ulong version = reader.Take();
        List<ChunkEntry> entries = ChunkEntryCodec.Read(ref reader, chunkCount, chunkCount);
        reader.ExpectEnd();
        return ChunkMap.Restore(chunkCount, version, entries);
    }
}
