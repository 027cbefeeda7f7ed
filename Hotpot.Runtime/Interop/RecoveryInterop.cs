using System.Runtime.InteropServices;

namespace Hotpot.Runtime.Interop;

/// <summary>hp_chunk_state.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct HpChunkState
{
    public uint Chunk;
    public uint Held;
    public uint Complete;
    public uint Pending;
    public ulong Epoch;
    public ulong Sequence;

    public readonly ChunkState ToManaged() => new()
    {
        Chunk = new ChunkIndex(Chunk),
        Held = Held != 0,
        Complete = Complete != 0,
        Pending = (int)Pending,
        Epoch = new Epoch(Epoch),
        Sequence = new CommitSequence(Sequence),
    };
}

/// <summary>hp_chunk_use.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct HpChunkUse
{
    public uint Chunk;
    public uint Pages;
    public ulong Node;
    public ulong Epoch;

    public readonly ChunkUse ToManaged() => new()
    {
        Chunk = new ChunkIndex(Chunk),
        Epoch = new Epoch(Epoch),
        Node = new NodeId(Node),
        Pages = Pages,
    };
}

/// <summary>hp_tx_participant.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct HpTransactionParticipant
{
    public HpTransactionId Transaction;
    public ulong Dataset;
    public uint Chunk;
    public uint Here;

    public readonly TransactionParticipant ToManaged() => new()
    {
        Transaction = Transaction.ToManaged(),
        Dataset = new DatasetId(Dataset),
        Chunk = new ChunkIndex(Chunk),
        PreparedHere = Here != 0,
    };
}

internal static unsafe partial class RecoveryInterop
{
    [LibraryImport(Libhotpot.Name, EntryPoint = "hp_chunk_states")]
    public static partial int ChunkStates(EngineHandle engine, ulong dataset, HpChunkState* states, uint* count);

    [LibraryImport(Libhotpot.Name, EntryPoint = "hp_chunk_usage")]
    public static partial int ChunkUsage(EngineHandle engine, ulong dataset, HpChunkUse* uses, uint* count);

    [LibraryImport(Libhotpot.Name, EntryPoint = "hp_pending")]
    public static partial int Pending(EngineHandle engine, HpTransactionParticipant* participants, uint* count);

    [LibraryImport(Libhotpot.Name, EntryPoint = "hp_tx_outcome")]
    public static partial int Outcome(EngineHandle engine, HpTransactionId transaction, ulong dataset, uint chunk, uint ask, uint* outcome);

    [LibraryImport(Libhotpot.Name, EntryPoint = "hp_settle")]
    public static partial int Settle(EngineHandle engine, HpTransactionId transaction, uint commit, HpError* error);

    [LibraryImport(Libhotpot.Name, EntryPoint = "hp_chunk_sync")]
    public static partial int SyncChunk(EngineHandle engine, ulong dataset, uint chunk, ulong source, ulong token);
}
