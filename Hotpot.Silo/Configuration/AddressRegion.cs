using System.Globalization;

namespace Hotpot.Silo;

/// <summary>A part of the address space, written "0x100000000000-0x500000000000".</summary>
internal readonly record struct AddressRegion(ulong Start, ulong End)
{
    // User space of x86-64 with four levels of page tables.
    private const ulong AddressSpaceEnd = 1UL << 47;

    public static bool TryParse(string text, out AddressRegion region)
    {
        region = default;
        string[] parts = text.Split('-', StringSplitOptions.TrimEntries);
        if (parts.Length != 2 || !TryParseAddress(parts[0], out ulong start) || !TryParseAddress(parts[1], out ulong end))
            return false;
        region = new AddressRegion(start, end);
        return start > 0 && start < end && end <= AddressSpaceEnd && (start | end) % Limits.PageBytes == 0;
    }

    private static bool TryParseAddress(string text, out ulong address)
    {
        address = 0;
        return text.StartsWith("0x", StringComparison.OrdinalIgnoreCase)
            && ulong.TryParse(text.AsSpan(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out address);
    }
}
