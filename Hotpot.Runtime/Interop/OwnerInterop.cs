using System.Runtime.InteropServices;

namespace Hotpot.Runtime.Interop;

internal static unsafe partial class OwnerInterop
{
    public const uint PrepareFailOnConflict = 1;

    [LibraryImport(Libhotpot.Name, EntryPoint = "hp_owner_prepare")]
    public static partial int Prepare(EngineHandle engine, HpTransactionId transaction, ulong dataset, uint flags, uint minDegree, uint timeoutMs, ulong token, HpCompletion* now);

    [LibraryImport(Libhotpot.Name, EntryPoint = "hp_owner_pages")]
    public static partial int Pages(EngineHandle engine, HpTransactionId transaction, ulong dataset, ByteRange* pages, uint* count);

    [LibraryImport(Libhotpot.Name, EntryPoint = "hp_owner_commit")]
    public static partial int Commit(EngineHandle engine, HpTransactionId transaction, ulong dataset, ulong token, HpCompletion* now);

    [LibraryImport(Libhotpot.Name, EntryPoint = "hp_owner_abort")]
    public static partial int Abort(EngineHandle engine, HpTransactionId transaction, ulong dataset, ulong token, HpCompletion* now);

    [LibraryImport(Libhotpot.Name, EntryPoint = "hp_gate_open")]
    public static partial int OpenGate(EngineHandle engine, ulong dataset, uint chunk, ulong epoch);

    [LibraryImport(Libhotpot.Name, EntryPoint = "hp_gate_close")]
    public static partial int CloseGates(EngineHandle engine, ulong dataset, uint* underWay);

    [LibraryImport(Libhotpot.Name, EntryPoint = "hp_owner_forget")]
    public static partial int Forget(EngineHandle engine, HpTransactionId transaction, ulong dataset);
}
