using System.Runtime.InteropServices;

namespace Hotpot.Runtime.Interop;

internal static unsafe partial class ViewInterop
{
    [LibraryImport(Libhotpot.Name, EntryPoint = "hp_view_map")]
    public static partial int Map(EngineHandle engine, ulong dataset, uint writable, void** address, HpError* error);

    [LibraryImport(Libhotpot.Name, EntryPoint = "hp_view_unmap")]
    public static partial int Unmap(EngineHandle engine, ulong dataset, HpError* error);

    /// <summary>The ranges are hp_range, whose layout <see cref="ByteRange"/> has.</summary>
    [LibraryImport(Libhotpot.Name, EntryPoint = "hp_discard")]
    public static partial int Discard(EngineHandle engine, ulong dataset, ByteRange* ranges, uint count, HpError* error);

    [LibraryImport(Libhotpot.Name, EntryPoint = "hp_prefetch")]
    public static partial int Prefetch(EngineHandle engine, ulong dataset, ulong offset, ulong length, uint timeoutMs, HpError* error);

    [LibraryImport(Libhotpot.Name, EntryPoint = "hp_read")]
    public static partial int Read(EngineHandle engine, ulong dataset, ulong offset, ulong length, void* to, uint timeoutMs, HpError* error);
}
