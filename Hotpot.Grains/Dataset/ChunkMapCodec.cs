using System.Buffers.Binary;

namespace Hotpot.Grains.Dataset;

// The stored form of a chunk map.
//
// Problem: a map of 262,144 chunks is 25 MB as records, and it is written whole at each change. Neighbouring chunks nearly always have
// the same configuration, because they were assigned by one commit and failed over together.
//
// Scheme: a table of nodes, then runs of chunks that share everything but their index. All integers but the node ids are LEB128.
//
//   map   := format version nodes runs
//   nodes := count node*          node := 8 bytes, little endian
//   runs  := count run*
//   run   := gap length epoch phase owner replicas joining
//   gap      chunks without an entry before the run
//   owner    0: nobody; else 1 + index in nodes
//   replicas := count index*
//
// Example: three chunks from 0 on, all of node 7 with replica 9, epoch 1, version 4:
//   01 04 | 02 0700000000000000 0900000000000000 | 01 | 00 03 01 00 01 02 00 01 00
internal static class ChunkMapCodec
{
    private const ulong Format = 1;

    public static byte[] Encode(ChunkMap map)
    {
        NodeId[] nodes = [.. map.Assigned.SelectMany(entry => entry.Replicas).Distinct().Order()];
        Dictionary<NodeId, int> index = nodes.Select((node, i) => (node, i)).ToDictionary(pair => pair.node, pair => pair.i);
        Writer writer = new();
        writer.Put(Format);
        writer.Put(map.Version);
        writer.Put((ulong)nodes.Length);
        foreach (NodeId node in nodes)
            writer.PutFixed(node.Value);
        List<(ChunkEntry First, uint Length)> runs = Runs(map);
        writer.Put((ulong)runs.Count);
        uint end = 0;
        foreach ((ChunkEntry first, uint length) in runs)
        {
            writer.Put(first.Chunk.Value - end);
            writer.Put(length);
            writer.Put(first.Epoch.Value);
            writer.Put((ulong)first.Phase);
            writer.Put(first.Owner.IsNone ? 0 : (ulong)index[first.Owner] + 1);
            writer.Put((ulong)first.Replicas.Length);
            foreach (NodeId replica in first.Replicas)
                writer.Put((ulong)index[replica]);
            writer.Put(first.JoiningMask);
            end = first.Chunk.Value + length;
        }
        return writer.ToArray();
    }

    /// <summary>Throws <see cref="InvalidDataException"/> for bytes that <see cref="Encode"/> did not write for this dataset.</summary>
    public static ChunkMap Decode(ReadOnlySpan<byte> bytes, uint chunkCount)
    {
        Reader reader = new(bytes);
        ulong format = reader.Take();
        if (format != Format)
            throw new InvalidDataException($"The stored chunk map has format {format} but this build reads {Format}; use the build that wrote it.");
        ulong version = reader.Take();
        NodeId[] nodes = new NodeId[reader.TakeCount(Limits.MaxNodes * 1024)];
        for (int i = 0; i < nodes.Length; i++)
            nodes[i] = new NodeId(reader.TakeFixed());
        List<ChunkEntry> entries = [];
        int runs = reader.TakeCount((int)chunkCount);
        ulong end = 0;
        for (int run = 0; run < runs; run++)
        {
            ulong first = end + reader.Take();
            end = checked(first + reader.Take());
            if (end > chunkCount)
                throw new InvalidDataException($"The stored chunk map names chunk {end - 1} of a dataset with {chunkCount} chunks; restore the grain storage.");
            Epoch epoch = new(reader.Take());
            ChunkPhase phase = (ChunkPhase)reader.TakeCount((int)ChunkPhase.Recovering);
            int owner = reader.TakeCount(nodes.Length);
            NodeId[] replicas = new NodeId[reader.TakeCount(Limits.MaxDegree)];
            for (int i = 0; i < replicas.Length; i++)
                replicas[i] = nodes[reader.TakeCount(nodes.Length - 1)];
            uint joining = (uint)reader.TakeCount(byte.MaxValue);
            for (ulong chunk = first; chunk < end; chunk++)
            {
                entries.Add(new ChunkEntry
                {
                    Chunk = new ChunkIndex((uint)chunk),
                    Phase = phase,
                    Epoch = epoch,
                    Owner = owner == 0 ? NodeId.None : nodes[owner - 1],
                    Replicas = replicas,
                    JoiningMask = joining,
                });
            }
        }
        reader.ExpectEnd();
        return ChunkMap.Restore(chunkCount, version, entries);
    }

    private static List<(ChunkEntry First, uint Length)> Runs(ChunkMap map)
    {
        List<(ChunkEntry First, uint Length)> runs = [];
        foreach (ChunkEntry entry in map.Assigned)
        {
            if (runs.Count > 0 && runs[^1] is var (first, length)
                && first.Chunk.Value + length == entry.Chunk.Value && entry.Equals(first with { Chunk = entry.Chunk }))
                runs[^1] = (first, length + 1);
            else
                runs.Add((entry, 1));
        }
        return runs;
    }

    private sealed class Writer
    {
        private readonly MemoryStream _bytes = new();

        public void Put(ulong value)
        {
            for (; value >= 0x80; value >>= 7)
                _bytes.WriteByte((byte)(value | 0x80));
            _bytes.WriteByte((byte)value);
        }

        public void PutFixed(ulong value)
        {
            Span<byte> bytes = stackalloc byte[sizeof(ulong)];
            BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
            _bytes.Write(bytes);
        }

        public byte[] ToArray() => _bytes.ToArray();
    }

    private ref struct Reader(ReadOnlySpan<byte> bytes)
    {
        private ReadOnlySpan<byte> _rest = bytes;

        public ulong Take()
        {
            ulong value = 0;
            for (int shift = 0; shift < 64; shift += 7)
            {
                byte next = TakeBytes(1)[0];
                value |= (ulong)(next & 0x7f) << shift;
                if (next < 0x80)
                    return value;
            }
            throw new InvalidDataException("The stored chunk map holds a number longer than 64 bits; restore the grain storage.");
        }

        public int TakeCount(int max)
        {
            ulong value = Take();
            return value <= (ulong)max
                ? (int)value
                : throw new InvalidDataException($"The stored chunk map holds {value} where at most {max} is possible; restore the grain storage.");
        }

        public ulong TakeFixed() => BinaryPrimitives.ReadUInt64LittleEndian(TakeBytes(sizeof(ulong)));

        public readonly void ExpectEnd()
        {
            if (!_rest.IsEmpty)
                throw new InvalidDataException($"The stored chunk map is followed by {_rest.Length} bytes; restore the grain storage.");
        }

        private ReadOnlySpan<byte> TakeBytes(int count)
        {
            if (_rest.Length < count)
                throw new InvalidDataException("The stored chunk map ends too early; restore the grain storage.");
            ReadOnlySpan<byte> taken = _rest[..count];
            _rest = _rest[count..];
            return taken;
        }
    }
}
