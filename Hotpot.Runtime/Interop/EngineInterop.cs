using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Hotpot.Runtime.Interop;

/// <summary>hp_config.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct HpConfig
{
    public uint StructSize;
    public uint AbiVersion;
    public uint Medium;
    public uint Flags;
    public byte* DataDirectory;
    public byte* BindAddress;
    public byte* Transports;
    public byte* CrashAt;
    public byte* ClusterKey;
    public uint ClusterKeyBytes;
    public uint MissTimeoutMs;
    public ulong LogSegmentBytes;
    public ulong CheckpointLogBytes;
    public uint SpinUs;
    public uint ReadAheadPages;
    public ulong LogLimitBytes;
    public ulong FrontBudgetBytes;
}

/// <summary>hp_node_info.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct HpNodeInfo
{
    public const int AddressBytes = 128;

    public ulong NodeId;
    public ulong Incarnation;
    public AddressText FabricAddress;
    public uint Userfaultfd;
    public uint PagemapScan;
    public uint MediumIsPmem;
    public uint Reserved;

    public unsafe string Address()
    {
        fixed (byte* first = &FabricAddress.First)
        {
            ReadOnlySpan<byte> bytes = new(first, AddressBytes);
            int end = bytes.IndexOf((byte)0);
            return System.Text.Encoding.UTF8.GetString(end < 0 ? bytes : bytes[..end]);
        }
    }

    [InlineArray(AddressBytes)]
    public struct AddressText
    {
        public byte First;
    }
}

internal static unsafe partial class EngineInterop
{
    public const uint FlagNoUserfaultfd = 1;
    public const uint FlagNoPagemapScan = 2;

    [LibraryImport(Libhotpot.Name, EntryPoint = "hp_abi_version")]
    public static partial uint AbiVersion();

    [LibraryImport(Libhotpot.Name, EntryPoint = "hp_engine_create")]
    public static partial int Create(HpConfig* config, nint* engine, HpError* error);

    [LibraryImport(Libhotpot.Name, EntryPoint = "hp_engine_stop")]
    public static partial void Stop(EngineHandle engine);

    [LibraryImport(Libhotpot.Name, EntryPoint = "hp_engine_destroy")]
    public static partial void Destroy(nint engine);

    [LibraryImport(Libhotpot.Name, EntryPoint = "hp_engine_info")]
    public static partial void Info(EngineHandle engine, HpNodeInfo* info);
}
