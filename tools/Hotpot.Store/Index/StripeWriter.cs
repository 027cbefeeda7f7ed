using Hotpot.Store.Layout;

namespace Hotpot.Store.Index;

/// <summary>The changes of a stripe that need its exclusive lock. Each puts everything it changes into an edit, and nothing anywhere else.</summary>
internal static class StripeWriter
{
    /// <summary>Inserts a record, or replaces its value.</summary>
    public static void Put(StripeEdit edit, StripeSpace space, KeyHash hash, ReadOnlySpan<byte> key, ReadOnlySpan<byte> value)
    {
        int bytes = BlockHeader.Bytes + key.Length + value.Length;
        if (TryFind(edit, hash, key, out int entry, out int place))
        {
            if (bytes <= space.CapacityAt(edit, place))
            {
                WriteRecord(edit, place, key, value);
                return;
            }
            int moved = space.Allocate(edit, bytes);
            WriteRecord(edit, moved, key, value);
            edit.Set(entry, Bucket.Entry(hash.Tag, moved));
            StripeTree.Replace(edit, key, moved);
            space.Free(edit, place);
            return;
        }
        place = space.Allocate(edit, bytes);
        WriteRecord(edit, place, key, value);
        AddEntry(edit, hash, place);
        StripeTree.Insert(edit, space, key, place);
    }

    /// <summary>False: there was none.</summary>
    public static bool Delete(StripeEdit edit, StripeSpace space, KeyHash hash, ReadOnlySpan<byte> key)
    {
        if (!TryFind(edit, hash, key, out int entry, out int place))
            return false;
        edit.Set(entry, 0UL);
        int last = (entry - edit.Layout.BucketsOffset) / StripeLayout.BucketBytes;
        for (int bucket = hash.Bucket(edit.Layout.Buckets); bucket != last; bucket = (bucket + 1) & (edit.Layout.Buckets - 1))
            AddDisplaced(edit, bucket, -1);
        StripeTree.Remove(edit, key);
        space.Free(edit, place);
        return true;
    }

    /// <param name="entry">Where the entry itself lies.</param>
    /// <param name="place">Where it leads.</param>
    private static bool TryFind(StripeEdit edit, KeyHash hash, ReadOnlySpan<byte> key, out int entry, out int place)
    {
        for (int probe = 0; probe < edit.Layout.Buckets; probe++)
        {
            int bucket = Bucket.Offset(edit.Layout, hash.Bucket(edit.Layout.Buckets) + probe);
            ReadOnlySpan<ulong> words = Bucket.WordsOf(edit.Read(bucket, StripeLayout.BucketBytes));
            for (int i = 0; i < Bucket.Entries; i++)
            {
                entry = bucket + i * sizeof(ulong);
                place = (int)Bucket.PlaceOf(words[i]);
                if (words[i] != 0 && Bucket.TagOf(words[i]) == hash.Tag && edit.KeyAt(place).SequenceEqual(key))
                    return true;
            }
            if (words[Bucket.DisplacedWord] == 0)
                break;
        }
        (entry, place) = (0, 0);
        return false;
    }

    private static void AddEntry(StripeEdit edit, KeyHash hash, int place)
    {
        for (int probe = 0; probe < edit.Layout.Buckets; probe++)
        {
            int number = hash.Bucket(edit.Layout.Buckets) + probe;
            int bucket = Bucket.Offset(edit.Layout, number);
            int free = Bucket.WordsOf(edit.Read(bucket, StripeLayout.BucketBytes))[..Bucket.Entries].IndexOf(0UL);
            if (free >= 0)
            {
                edit.Set(bucket + free * sizeof(ulong), Bucket.Entry(hash.Tag, place));
                return;
            }
            AddDisplaced(edit, number, 1);
        }
        throw new StoreFullException("The hash index of a stripe is full; create a store with larger stripes and copy the records.");
    }

    private static void AddDisplaced(StripeEdit edit, int bucket, long change)
    {
        int at = Bucket.Offset(edit.Layout, bucket) + Bucket.DisplacedWord * sizeof(ulong);
        edit.Set(at, edit.Read<long>(at) + change);
    }

    private static void WriteRecord(StripeEdit edit, int place, ReadOnlySpan<byte> key, ReadOnlySpan<byte> value)
    {
        int bytes = BlockHeader.Bytes + key.Length + value.Length;
        if (place % StripeLayout.PageBytes + bytes <= StripeLayout.PageBytes)
        {
            BlockHeader.Build(edit.Change(place, bytes), BlockKind.Record, key, value);
            return;
        }
        byte[] block = new byte[bytes];
        BlockHeader.Build(block, BlockKind.Record, key, value);
        edit.ChangeBlock(place, block);
    }
}
