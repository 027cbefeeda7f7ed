using System.Runtime.InteropServices;

namespace Hotpot.Runtime.Interop;

internal static unsafe partial class PeerInterop
{
    [LibraryImport(Libhotpot.Name, EntryPoint = "hp_peer_set", StringMarshalling = StringMarshalling.Utf8)]
    public static partial int Set(EngineHandle engine, ulong node, ulong incarnation, string address, HpError* error);

    [LibraryImport(Libhotpot.Name, EntryPoint = "hp_peer_remove")]
    public static partial int Remove(EngineHandle engine, ulong node, ulong incarnation);

    [LibraryImport(Libhotpot.Name, EntryPoint = "hp_peer_connected")]
    public static partial int Connected(EngineHandle engine, ulong node);
}
