using Hotpot.Store.Layout;

namespace Hotpot.Store.Index;

/// <summary>How an attempt to read ended.</summary>
internal enum ReadOutcome
{
    Found,
    Absent,

    /// <summary>A commit was being applied just there; the next attempt sees it whole.</summary>
    Torn,

    /// <summary>Found, but longer than the destination.</summary>
    TooLong,
}

/// <summary>
/// Reads one stripe by plain loads, without a lock, while commits of other nodes and threads appear in it. Anything that is loaded may be half of one state and half
/// of another, so places are checked before they are followed, and blocks are believed only when their checksum fits what was copied out of them.
/// </summary>
internal readonly unsafe struct StripeReader(byte* stripe, StripeLayout layout)
{
    /// <summary>Copies the value of a key.</summary>
    /// <param name="length">Of the value, when the outcome is Found or TooLong.</param>
    public ReadOutcome TryRead(KeyHash hash, ReadOnlySpan<byte> key, Span<byte> destination, out int length)
    {
        length = 0;
        ushort tag = hash.Tag;
        int bucket = hash.Bucket(layout.Buckets);
        for (int probe = 0; probe < layout.Buckets; probe++)
        {
            ulong* words = (ulong*)(stripe + Bucket.Offset(layout, bucket + probe));
            for (int i = 0; i < Bucket.Entries; i++)
            {
                ulong entry = Volatile.Read(ref words[i]);
                if (entry == 0 || Bucket.TagOf(entry) != tag)
                    continue;
                ReadOutcome outcome = TryReadRecord(Bucket.PlaceOf(entry), key, destination, out length);
                if (outcome != ReadOutcome.Absent)
                    return outcome;
            }
            if (Volatile.Read(ref words[Bucket.DisplacedWord]) == 0)
                return ReadOutcome.Absent;
        }
        return ReadOutcome.Absent;
    }

    /// <summary>Absent: there is a record, of another key.</summary>
    public ReadOutcome TryReadRecord(long place, ReadOnlySpan<byte> key, Span<byte> destination, out int length)
    {
        length = 0;
        if (!TryHeader(place, BlockKind.Record, out BlockHeader header))
            return ReadOutcome.Torn;
        length = header.BodyBytes;
        byte* start = stripe + place + BlockHeader.Bytes;
        bool isOurs = new ReadOnlySpan<byte>(start, header.KeyBytes).SequenceEqual(key);
        ReadOnlySpan<byte> body = new(start + header.KeyBytes, length);
        if (!isOurs)
            return IsWhole(header, start) ? ReadOutcome.Absent : ReadOutcome.Torn;
        if (length > destination.Length)
            return header.Sum(key, body) == header.Checksum ? ReadOutcome.TooLong : ReadOutcome.Torn;
        // The copy is checked, not the original: that may have changed since.
        Span<byte> copy = destination[..length];
        body.CopyTo(copy);
        return header.Sum(key, copy) == header.Checksum ? ReadOutcome.Found : ReadOutcome.Torn;
    }

    /// <summary>Where the record of a key lies; for writers that hold the stripe's lock, shared or exclusive.</summary>
    public bool TryFind(KeyHash hash, ReadOnlySpan<byte> key, out int place)
    {
        int bucket = hash.Bucket(layout.Buckets);
        for (int probe = 0; probe < layout.Buckets; probe++)
        {
            ulong* words = (ulong*)(stripe + Bucket.Offset(layout, bucket + probe));
            for (int i = 0; i < Bucket.Entries; i++)
            {
                // Keys do not change under the lock, so they can be compared in place; values may.
                if (words[i] != 0 && Bucket.TagOf(words[i]) == hash.Tag && KeyAt(place = (int)Bucket.PlaceOf(words[i])).SequenceEqual(key))
                    return true;
            }
            if (words[Bucket.DisplacedWord] == 0)
                break;
        }
        place = 0;
        return false;
    }

    /// <summary>How large the block at a place may become where it is; for writers that hold the stripe's lock.</summary>
    public int CapacityAt(int place)
    {
        ReadOnlySpan<byte> table = new(stripe + StripeLayout.TableOffset, layout.Pages);
        int page = place / StripeLayout.PageBytes;
        return SlotClass.IsSlots(table[page]) ? SlotClass.SlotBytes(table[page]) : RunPages(table, page) * StripeLayout.PageBytes;
    }

    /// <summary>Copies a node of the ordered index; false: it was being changed.</summary>
    public bool TryReadNode(long place, Span<byte> destination, out BlockHeader header)
    {
        if (!TryHeader(place, BlockKind.None, out header) || header.Kind is not (BlockKind.Leaf or BlockKind.Inner) || header.BodyBytes > destination.Length)
            return false;
        Span<byte> copy = destination[..header.BodyBytes];
        new ReadOnlySpan<byte>(stripe + place + BlockHeader.Bytes, header.BodyBytes).CopyTo(copy);
        return header.Sum([], copy) == header.Checksum;
    }

    /// <summary>The first node of the ordered index; zero while there is none.</summary>
    public int Root => Volatile.Read(ref *(int*)(stripe + StripeLayout.RootOffset));

    public static int RunPages(ReadOnlySpan<byte> table, int head)
    {
        int pages = 1;
        while (head + pages < table.Length && table[head + pages] == PageUse.RunBody)
            pages++;
        return pages;
    }

    private ReadOnlySpan<byte> KeyAt(int place) => new(stripe + place + BlockHeader.Bytes, ((BlockHeader*)(stripe + place))->KeyBytes);

    /// <summary>False: there is no block of this kind, or its length leads out of the stripe.</summary>
    private bool TryHeader(long place, BlockKind kind, out BlockHeader header)
    {
        header = default;
        if (place < layout.FirstDataOffset || place > layout.Bytes - BlockHeader.Bytes || place % 16 != 0)
            return false;
        header = *(BlockHeader*)(stripe + place);
        return header.Checksum != 0 && header.BodyBytes >= 0 && place + header.TotalBytes <= layout.Bytes && (kind == BlockKind.None || header.Kind == kind);
    }

    private static bool IsWhole(in BlockHeader header, byte* start)
    {
        ReadOnlySpan<byte> key = new(start, header.KeyBytes);
        return header.Sum(key, new ReadOnlySpan<byte>(start + header.KeyBytes, header.BodyBytes)) == header.Checksum;
    }
}
