using System.Runtime.InteropServices;

namespace Hotpot.Runtime.Interop;

/// <summary>hp_txid.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct HpTransactionId
{
    public ulong Node;
    public ulong Sequence;

    public static HpTransactionId From(TransactionId id) => new() { Node = id.Node.Value, Sequence = id.Sequence };

    public readonly TransactionId ToManaged() => new(new NodeId(Node), Sequence);
}

/// <summary>hp_tx_part.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct HpTransactionPart
{
    public ulong Dataset;
    public ulong Owner;
    public ulong Epoch;
    public uint Chunk;
    public uint Pages;

    public readonly TransactionPart ToManaged() => new()
    {
        Dataset = new DatasetId(Dataset),
        Chunk = new ChunkIndex(Chunk),
        Owner = new NodeId(Owner),
        Epoch = new Epoch(Epoch),
        Pages = (int)Pages,
    };
}

/// <summary>hp_tx_owner.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct HpTransactionOwner
{
    public ulong Dataset;
    public ulong Owner;
    public uint Flags;
    public uint MinimumDegree;
    public uint TimeoutMs;
    public uint Reserved;
}

/// <summary>hp_tx_answer.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct HpTransactionAnswer
{
    public ulong Dataset;
    public ulong Owner;
    public int Status;
    public uint Degree;
    public uint Direct;
    public uint Reserved;

    public readonly Completion ToManaged() => new((HotpotStatus)Status, (int)Degree, Direct);
}

internal static unsafe partial class TransactionInterop
{
    [LibraryImport(Libhotpot.Name, EntryPoint = "hp_tx_create")]
    public static partial int Create(EngineHandle engine, nint* transaction, HpTransactionId* id, HpError* error);

    [LibraryImport(Libhotpot.Name, EntryPoint = "hp_tx_collect")]
    public static partial int Collect(EngineHandle engine, TransactionHandle transaction, ulong dataset, ByteRange* ranges, uint count, ulong* bytes, HpError* error);

    [LibraryImport(Libhotpot.Name, EntryPoint = "hp_tx_write")]
    public static partial int Write(EngineHandle engine, TransactionHandle transaction, ulong dataset, ulong offset, void* from, ulong length, HpError* error);

    [LibraryImport(Libhotpot.Name, EntryPoint = "hp_tx_parts")]
    public static partial int Parts(EngineHandle engine, TransactionHandle transaction, HpTransactionPart* parts, uint* count);

    [LibraryImport(Libhotpot.Name, EntryPoint = "hp_tx_stage")]
    public static partial int Stage(EngineHandle engine, TransactionHandle transaction, ulong dataset, ulong owner, ulong token, HpCompletion* now, HpError* error);

    [LibraryImport(Libhotpot.Name, EntryPoint = "hp_tx_commit_at")]
    public static partial int CommitAt(
        EngineHandle engine, TransactionHandle transaction, ulong dataset, ulong owner, uint flags, uint minDegree, uint timeoutMs, ulong token, HpCompletion* now, HpError* error);

    [LibraryImport(Libhotpot.Name, EntryPoint = "hp_tx_prepare_together")]
    public static partial int PrepareTogether(
        EngineHandle engine, TransactionHandle transaction, HpTransactionOwner* owners, uint count, ulong token, HpCompletion* now, HpError* error);

    [LibraryImport(Libhotpot.Name, EntryPoint = "hp_tx_commit_together")]
    public static partial int CommitTogether(EngineHandle engine, TransactionHandle transaction, ulong token, HpCompletion* now, HpError* error);

    [LibraryImport(Libhotpot.Name, EntryPoint = "hp_tx_answers")]
    public static partial int Answers(EngineHandle engine, TransactionHandle transaction, HpTransactionAnswer* answers, uint* count);

    [LibraryImport(Libhotpot.Name, EntryPoint = "hp_tx_destroy")]
    public static partial void Destroy(nint engine, nint transaction);
}
