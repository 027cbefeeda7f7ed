using System.Numerics;

namespace Hotpot.Store.Layout;

// Where things lie in a stripe. A stripe is one chunk of the dataset, so all of it has one owner and an operation that changes only one stripe is a commit with a
// single participant, which is the cheapest. Every place is an offset from the begin of its stripe; a dataset lies at one address in all processes, so a raw
// pointer would do as well, but an offset takes four bytes and can be checked with one comparison, which a reader without a lock needs.
//
//   page 0               the lock: never written; grants of it are the stripe's lock (Memory/StripeLock.cs)
//   page 1               the header: root of the ordered index; in stripe 0 also the mark of the format
//   page 2 ..            the page table: one byte for each page of the stripe, see PageUse
//   then                 the buckets of the hash index, 64 bytes each
//   then                 data pages: slabs, or runs of pages for large blocks
//
// All zero is an empty stripe: a new dataset needs no formatting.

/// <summary>Immutable.</summary>
internal sealed class StripeLayout
{
    public const int PageBytes = Limits.PageBytes;
    public const int LockOffset = 0;
    public const int RootOffset = PageBytes;
    public const int FormatOffset = PageBytes + 64;
    public const int TableOffset = 2 * PageBytes;
    public const int BucketBytes = 64;

    public const long StripeBytesMin = 64 << 10;
    public const long StripeBytesMax = 1 << 30;

    /// <summary>Of 32 pages one is for buckets: 7 entries for each 2,048 bytes of data.</summary>
    private const int PagesPerBucketPage = 32;

    public StripeLayout(long stripeBytes)
    {
        if (stripeBytes is < StripeBytesMin or > StripeBytesMax || !BitOperations.IsPow2(stripeBytes))
            throw new InvalidRequestException(
                $"A stripe of {stripeBytes} bytes is not possible; choose a power of two from {StripeBytesMin} to {StripeBytesMax} as the dataset's chunk size.");
        Bytes = (int)stripeBytes;
        Pages = Bytes / PageBytes;
        int tablePages = (Pages + PageBytes - 1) / PageBytes;
        int bucketPages = Math.Max(1, Pages / PagesPerBucketPage);
        BucketsOffset = TableOffset + tablePages * PageBytes;
        Buckets = bucketPages * PageBytes / BucketBytes;
        FirstDataPage = BucketsOffset / PageBytes + bucketPages;
    }

    public int Bytes { get; }

    public int Pages { get; }

    /// <summary>A power of two.</summary>
    public int Buckets { get; }

    public int BucketsOffset { get; }

    public int FirstDataPage { get; }

    public int FirstDataOffset => FirstDataPage * PageBytes;

    /// <summary>The largest block: what is left of half a stripe, so that a stripe holds more than one.</summary>
    public int BlockBytesMax => (Pages - FirstDataPage) / 2 * PageBytes;
}
