namespace Hotpot.Store.Layout;

/// <summary>What a page is used for: the values of the page table. Classes of slots begin at <see cref="FirstClass"/>.</summary>
internal static class PageUse
{
    public const byte Free = 0;

    /// <summary>The first page of a block that needs pages of its own.</summary>
    public const byte RunHead = 1;

    /// <summary>Further pages of it.</summary>
    public const byte RunBody = 2;

    public const byte FirstClass = 16;
}

/// <summary>
/// Pages of equal slots. A page begins with a map of the slots in use; no slot crosses a page, so that a change of one block is a change of one page, which nodes and
/// readers see at once or not at all as far as durability goes.
/// </summary>
internal static class SlotClass
{
    public const int PageHeaderBytes = 32;

    // A word of 64 bits is the map of a page, so the smallest slot is a 63rd.
    private static readonly int[] s_slotsPerPage = [63, 42, 31, 25, 21, 16, 12, 10, 8, 6, 5, 4, 3, 2, 1];

    private static readonly int[] s_slotBytes = [.. s_slotsPerPage.Select(slots => (StripeLayout.PageBytes - PageHeaderBytes) / slots & ~15)];

    public static int LargestSlotBytes => s_slotBytes[^1];

    public static int Slots(byte use) => s_slotsPerPage[use - PageUse.FirstClass];

    public static int SlotBytes(byte use) => s_slotBytes[use - PageUse.FirstClass];

    public static bool IsSlots(byte use) => use >= PageUse.FirstClass && use < PageUse.FirstClass + s_slotBytes.Length;

    /// <summary>The class with the smallest slot that is large enough; <paramref name="bytes"/> is at most <see cref="LargestSlotBytes"/>.</summary>
    public static byte For(int bytes)
    {
        int index = Array.FindIndex(s_slotBytes, slot => slot >= bytes);
        return (byte)(PageUse.FirstClass + index);
    }
}
