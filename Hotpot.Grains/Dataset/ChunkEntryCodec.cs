using System.Runtime.InteropServices;

namespace Hotpot.Grains.Dataset;

// Chunk entries as bytes, for the storage and for calls between silos.
//
// Problem: neighbouring chunks nearly always have the same configuration, because they were assigned by one commit and failed over together. Written one
// after the other they are 100 bytes each, and a call that carries thousands of them spends its time on naming their fields.
//
// Scheme: a table of nodes, then runs of chunks that share everything but their index. Entries ascend. All integers but the node ids are LEB128.
//
//   entries  := nodes runs
//   nodes    := count node*          node := 8 bytes, little endian
//   runs     := count run*
//   run      := gap length epoch phase owner replicas joining
//   gap         chunks without an entry before the run
//   owner       0: nobody; else 1 + index in nodes
//   replicas := count index*
internal static class ChunkEntryCodec
{
    public static void Write(Leb128Writer writer, IEnumerable<ChunkEntry> ascending)
    {
        List<(ChunkEntry First, uint Length)> runs = Runs(ascending);
        NodeId[] nodes = [.. runs.SelectMany(run => run.First.Replicas).Distinct().Order()];
        Dictionary<NodeId, int> index = nodes.Select((node, i) => (node, i)).ToDictionary(pair => pair.node, pair => pair.i);
        writer.Put((ulong)nodes.Length);
        foreach (NodeId node in nodes)
            writer.PutFixed(node.Value);
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
    }

    /// <summary>Throws <see cref="InvalidDataException"/> for bytes that <see cref="Write"/> did not write, and for more than <paramref name="max"/> entries.</summary>
    public static List<ChunkEntry> Read(ref Leb128Reader reader, uint chunkCount, uint max)
    {
        NodeId[] nodes = new NodeId[reader.TakeCount(Limits.MaxNodes * 1024)];
        for (int i = 0; i < nodes.Length; i++)
            nodes[i] = new NodeId(reader.TakeFixed());
        List<ChunkEntry> entries = [];
        int runs = reader.TakeCount((int)Math.Min(max, int.MaxValue));
        ulong end = 0;
        for (int run = 0; run < runs; run++)
        {
            ulong first = end + reader.Take();
            end = checked(first + reader.Take());
            if (end > chunkCount)
                throw new InvalidDataException($"The stored chunk map names chunk {end - 1} of a dataset with {chunkCount} chunks; restore the grain storage.");
            if (end - first > max - (ulong)entries.Count)
                throw new InvalidDataException($"A chunk map holds more than the {max} entries that are possible; all silos must run the same build.");
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
        return entries;
    }

    private static List<(ChunkEntry First, uint Length)> Runs(IEnumerable<ChunkEntry> ascending)
    {
        List<(ChunkEntry First, uint Length)> runs = [];
        foreach (ChunkEntry entry in ascending)
        {
            if (runs.Count > 0)
            {
                // In place: a map is a few runs of very many chunks.
                ref (ChunkEntry First, uint Length) last = ref CollectionsMarshal.AsSpan(runs)[^1];
                if (last.First.Chunk.Value + last.Length == entry.Chunk.Value && AreAlike(last.First, entry))
                {
                    last.Length++;
                    continue;
                }
            }
            runs.Add((entry, 1));
        }
        return runs;
    }

    /// <summary>Equal but for the chunk.</summary>
    private static bool AreAlike(ChunkEntry one, ChunkEntry other) =>
        one.Phase == other.Phase && one.Epoch == other.Epoch && one.Owner == other.Owner && one.JoiningMask == other.JoiningMask
        && (ReferenceEquals(one.Replicas, other.Replicas) || one.Replicas.AsSpan().SequenceEqual(other.Replicas));
}
