using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Hotpot.Runtime.Interop;

/// <summary>hp_dataset_desc.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct HpDatasetDescription
{
    public ulong Id;
    public ulong BaseAddress;
    public ulong Size;
    public uint ChunkLog2;
    public uint Degree;
    public uint Mode;
    public uint Reserved;
    public byte* Name;
}

/// <summary>hp_chunk_entry.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct HpChunkEntry
{
    public uint Chunk;
    public uint Phase;
    public ulong Epoch;
    public ulong Owner;
    public uint ReplicaCount;
    public uint JoiningMask;
    public ReplicaList Replicas;

    public static HpChunkEntry From(ChunkEntry entry)
    {
        if (entry.Replicas.Length > Limits.MaxDegree)
            throw new LimitReachedException(
                $"Chunk {entry.Chunk} names {entry.Replicas.Length} replicas; at most {Limits.MaxDegree} are possible.");

        HpChunkEntry native = new()
        {
            Chunk = entry.Chunk.Value,
            Phase = (uint)entry.Phase,
            Epoch = entry.Epoch.Value,
            Owner = entry.Owner.Value,
            ReplicaCount = (uint)entry.Replicas.Length,
            JoiningMask = entry.JoiningMask,
        };
        for (int i = 0; i < entry.Replicas.Length; i++)
            native.Replicas[i] = entry.Replicas[i].Value;
        return native;
    }

    [InlineArray(Limits.MaxDegree)]
    public struct ReplicaList
    {
        public ulong First;
    }
}

internal static unsafe partial class DatasetInterop
{
    [LibraryImport(Libhotpot.Name, EntryPoint = "hp_dataset_open")]
    public static partial int Open(EngineHandle engine, HpDatasetDescription* description, HpError* error);

    [LibraryImport(Libhotpot.Name, EntryPoint = "hp_dataset_close")]
    public static partial int Close(EngineHandle engine, ulong dataset, HpError* error);

    [LibraryImport(Libhotpot.Name, EntryPoint = "hp_dataset_drop")]
    public static partial int Drop(EngineHandle engine, ulong dataset, HpError* error);

    [LibraryImport(Libhotpot.Name, EntryPoint = "hp_map_apply")]
    public static partial int ApplyMap(EngineHandle engine, ulong dataset, HpChunkEntry* entries, uint count, HpError* error);
}
