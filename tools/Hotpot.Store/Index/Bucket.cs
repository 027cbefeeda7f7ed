using System.Runtime.InteropServices;
using Hotpot.Store.Layout;

namespace Hotpot.Store.Index;

// A bucket is one cache line: seven entries and a count. An entry is a tag of 16 bits and the place of a record, in one word, so that it is stored and loaded as a whole.
// The count says how many keys that belong here, or passed by here, lie in a later bucket because this one was full; a search that does not
// find its key here goes on only when there are some. Entries never move, and a relocated record keeps its entry, so a search that meets
// no change finds what is there and one that meets a change finds the state before or after it.
internal static class Bucket
{
    public const int Entries = 7;
    public const int DisplacedWord = 7;
    public const int Words = 8;

    private const int PlaceBits = 48;

    public static ulong Entry(ushort tag, int place) => (ulong)tag << PlaceBits | (uint)place;

    public static ushort TagOf(ulong entry) => (ushort)(entry >> PlaceBits);

    /// <summary>May be any number: what was loaded while the bucket was being changed is checked by the one who follows it.</summary>
    public static long PlaceOf(ulong entry) => (long)(entry & ((1UL << PlaceBits) - 1));

    public static ReadOnlySpan<ulong> WordsOf(ReadOnlySpan<byte> bucket) => MemoryMarshal.Cast<byte, ulong>(bucket);

    public static int Offset(StripeLayout layout, int bucket) => layout.BucketsOffset + (bucket & (layout.Buckets - 1)) * StripeLayout.BucketBytes;
}
