using System.Runtime.InteropServices;

namespace Hotpot.Chaos.Node;

// Where the objects lie. Each object has a page of its own, so that discarding what one client stored leaves the others' stores alone; counters are the
// exception, because their pages are there to be shared.
//
//   bank       mark:i64 balance:i64
//   lists      mark:i64 checksum:u64 element:i64 ... 0
//   counters   value:i64 for each client
//   registers  value:i64
//
// The mark. A commit that fails on conflict notices changes since the page became private, not since it was loaded. So a transaction first stores a new mark into
// each of its pages, which makes them private, then loads what it decides upon. It also makes transactions that read the same object conflict, since both change
// the mark.
//
// The checksum. A load of several words is not atomic, and a list is many words, so a plain load is repeated until the checksum fits. It covers the elements.
internal static class Layout
{
    public const string Bank = "bank";
    public const string Lists = "lists";
    public const string Counters = "counters";
    public const string Registers = "registers";

    public const int Accounts = 12;
    public const long InitialBalance = 1000;
    public const int CounterPages = 6;
    public const int RegisterCount = 6;

    /// <summary>Lists in use at the same time.</summary>
    public const int Lanes = 8;

    /// <summary>A list that has so many elements is used no more: what a checker costs grows with the square.</summary>
    public const int ListElementsMax = 150;

    /// <summary>Each object of the bank, of the counters and of the registers is alone in its chunk, and so has an owner of its own.</summary>
    public const int ChunkBytes = 16 << 10;

    private const int ListElementsAt = 16;

    public static long AccountAt(int account) => (long)account * ChunkBytes;

    public static long ListAt(int list) => (long)list * Limits.PageBytes;

    public static long CounterPageAt(int page) => (long)page * ChunkBytes;

    public static long RegisterAt(int register) => (long)register * ChunkBytes;

    public static long BalanceOf(ReadOnlySpan<byte> page) => MemoryMarshal.Read<long>(page[sizeof(long)..]);

    public static void SetBalance(Span<byte> page, long balance) => MemoryMarshal.Write(page[sizeof(long)..], balance);

    public static void Mark(Span<byte> page, long mark) => MemoryMarshal.Write(page, mark);

    /// <summary>The elements of a list, or null when its checksum does not fit them.</summary>
    public static long[]? ElementsOf(ReadOnlySpan<byte> page)
    {
        var words = MemoryMarshal.Cast<byte, long>(page[ListElementsAt..]);
        var end = words.IndexOf(0);
        var elements = words[..(end < 0 ? words.Length : end)].ToArray();
        return Checksum(elements) == MemoryMarshal.Read<ulong>(page[sizeof(long)..]) ? elements : null;
    }

    public static void Append(Span<byte> page, long[] elements, long element)
    {
        MemoryMarshal.Cast<byte, long>(page[ListElementsAt..])[elements.Length] = element;
        MemoryMarshal.Write(page[sizeof(long)..], Checksum([.. elements, element]));
    }

    // FNV-1a over words, folded: enough to notice a list that is half old and half new. Zero for the list that nobody has touched.
    private static ulong Checksum(ReadOnlySpan<long> elements)
    {
        var sum = 0UL;
        foreach (var element in elements)
        {
            sum = (sum ^ (ulong)element) * 0x100000001b3;
            sum ^= sum >> 29;
        }

        return sum;
    }
}
