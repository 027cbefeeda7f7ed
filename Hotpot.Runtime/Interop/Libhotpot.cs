namespace Hotpot.Runtime.Interop;

// The managed side of Native/include/hotpot.h, one file per area of that header. Every struct here has the layout of the
// struct it names; InteropLayoutTests compares sizes and offsets with the header's. Pages never cross this boundary except
// by pointer, and nothing is thrown across it.

internal static class Libhotpot
{
    /// <summary>libhotpot.so, which the build copies beside every assembly that uses it.</summary>
    public const string Name = "hotpot";

    /// <summary>HP_ABI_VERSION of the header that this half was written against.</summary>
    public const uint AbiVersion = 7;
}
