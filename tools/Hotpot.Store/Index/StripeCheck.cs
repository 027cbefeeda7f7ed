using Hotpot.Store.Layout;

namespace Hotpot.Store.Index;

/// <summary>
/// Whether a stripe fits together: every block has its checksum, both indexes lead to the same records, keys are in order, and the slots in use are just those that the
/// indexes reach. For a stripe that nobody changes; the edit only reads.
/// </summary>
internal sealed class StripeCheck(StripeEdit edit)
{
    private readonly StripeLayout _layout = edit.Layout;

    // Where blocks lie that an index reaches. Written by Run.
    private readonly HashSet<int> _reached = [];
    private readonly HashSet<int> _records = [];
    private long _recordBytes;

    public StoreStatistics Run()
    {
        WalkBuckets();
        int nodes = WalkTree();
        long pages = WalkPages();
        return new StoreStatistics(_records.Count, _recordBytes, nodes, pages);
    }

    private void WalkBuckets()
    {
        long[] displaced = new long[_layout.Buckets];
        for (int bucket = 0; bucket < _layout.Buckets; bucket++)
        {
            ulong[] words = Bucket.WordsOf(edit.Read(Bucket.Offset(_layout, bucket), StripeLayout.BucketBytes)).ToArray();
            foreach (ulong entry in words[..Bucket.Entries])
            {
                if (entry == 0)
                    continue;
                int place = (int)Bucket.PlaceOf(entry);
                byte[] key = Record(place);
                KeyHash hash = KeyHash.Of(key);
                Require(hash.Tag == Bucket.TagOf(entry), place, "its entry has another tag");
                Require(_records.Add(place) && _reached.Add(place), place, "two entries lead to it");
                for (int passed = hash.Bucket(_layout.Buckets); passed != bucket; passed = (passed + 1) & (_layout.Buckets - 1))
                    displaced[passed]++;
            }
        }
        for (int bucket = 0; bucket < _layout.Buckets; bucket++)
        {
            int place = Bucket.Offset(_layout, bucket);
            Require(edit.Read<long>(place + Bucket.DisplacedWord * sizeof(ulong)) == displaced[bucket], place, "the bucket's count of displaced keys is wrong");
        }
    }

    private byte[] Record(int place)
    {
        BlockHeader header = Header(place, BlockKind.Record);
        byte[] block = BlockAt(place, header);
        Require(header.Sum(block.AsSpan(BlockHeader.Bytes, header.KeyBytes), block.AsSpan(BlockHeader.Bytes + header.KeyBytes)) == header.Checksum, place, "it does not fit its checksum");
        _recordBytes += header.BodyBytes;
        return block[BlockHeader.Bytes..(BlockHeader.Bytes + header.KeyBytes)];
    }

    private int WalkTree()
    {
        int root = edit.Read<int>(StripeLayout.RootOffset);
        Require(root != 0 || _records.Count == 0, root, "there are records and no ordered index");
        if (root == 0)
            return 0;
        List<(byte[] Key, int Record)> found = [];
        int nodes = WalkNode(root, [], null, found);
        for (int i = 1; i < found.Count; i++)
            Require(found[i - 1].Key.AsSpan().SequenceCompareTo(found[i].Key) < 0, found[i].Record, "keys are not in order");
        foreach ((byte[] key, int record) in found)
            Require(_records.Contains(record) && edit.KeyAt(record).SequenceEqual(key), record, "the ordered index leads to another record than the hash index");
        Require(found.Count == _records.Count, root, $"the ordered index has {found.Count} records and the hash index {_records.Count}");
        return nodes;
    }

    private int WalkNode(int place, byte[] low, byte[]? high, List<(byte[] Key, int Record)> found)
    {
        BlockHeader header = edit.Read<BlockHeader>(place);
        byte[] body = edit.Read(place + BlockHeader.Bytes, TreeNode.BodyBytes).ToArray();
        Require(header.Kind is BlockKind.Leaf or BlockKind.Inner && header.Sum([], body) == header.Checksum, place, "it is no node, or does not fit its checksum");
        Require(_reached.Add(place), place, "two nodes lead to it");
        TreeNode node = new(body);
        int nodes = 1;
        for (int i = 0; i < node.Count; i++)
        {
            byte[] key = node.Key(i).ToArray();
            // What lies left of the first key of a node belongs under its first child all the same.
            Require(key.AsSpan().SequenceCompareTo(low) >= 0 || i == 0, place, "a key lies left of its node");
            Require(high is null || key.AsSpan().SequenceCompareTo(high) < 0, place, "a key lies right of its node");
            if (header.Kind == BlockKind.Leaf)
                found.Add((key, node[i]));
            else
                nodes += WalkNode(node[i], key, i + 1 < node.Count ? node.Key(i + 1).ToArray() : high, found);
        }
        return nodes;
    }

    /// <summary>Every slot that is marked as used is reached, and no other.</summary>
    private long WalkPages()
    {
        int used = 0, marked = 0;
        for (int page = _layout.FirstDataPage; page < _layout.Pages; page++)
        {
            byte use = edit.Read(StripeLayout.TableOffset + page, 1)[0];
            int start = page * StripeLayout.PageBytes;
            if (use == PageUse.Free)
                continue;
            used++;
            if (use == PageUse.RunHead)
            {
                Require(_reached.Contains(start), start, "nothing leads to it");
                marked++;
            }
            else if (use != PageUse.RunBody)
            {
                Require(SlotClass.IsSlots(use), start, $"page use {use} is unknown");
                ulong map = edit.Read<ulong>(start);
                for (int slot = 0; slot < SlotClass.Slots(use); slot++)
                {
                    int place = start + SlotClass.PageHeaderBytes + slot * SlotClass.SlotBytes(use);
                    bool isUsed = (map >> slot & 1) != 0;
                    Require(isUsed == _reached.Contains(place), place, isUsed ? "the slot is marked as used and nothing leads to it" : "the slot is marked as free and an index leads to it");
                    Require(isUsed || edit.Read<ulong>(place) == 0, place, "a free slot has a checksum");
                    marked += isUsed ? 1 : 0;
                }
            }
        }
        Require(marked == _reached.Count, 0, $"{_reached.Count} blocks are reached and {marked} marked");
        return used;
    }

    private BlockHeader Header(int place, BlockKind kind)
    {
        Require(place >= _layout.FirstDataOffset && place < _layout.Bytes && place % 16 == 0, place, "it is no place for a block");
        BlockHeader header = edit.Read<BlockHeader>(place);
        Require(header.Kind == kind && header.BodyBytes >= 0 && place + header.TotalBytes <= _layout.Bytes, place, "it is not the block that leads there");
        return header;
    }

    private byte[] BlockAt(int place, BlockHeader header)
    {
        byte[] block = new byte[header.TotalBytes];
        for (int copied = 0; copied < block.Length;)
        {
            int piece = Math.Min(block.Length - copied, StripeLayout.PageBytes - (place + copied) % StripeLayout.PageBytes);
            edit.Read(place + copied, piece).CopyTo(block.AsSpan(copied));
            copied += piece;
        }
        return block;
    }

    private static void Require(bool holds, int place, string otherwise)
    {
        if (!holds)
            throw new StoreCorruptException($"At {place} of a stripe of the store: {otherwise}; restore the store from a copy.");
    }
}
