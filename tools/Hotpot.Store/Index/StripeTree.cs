using Hotpot.Store.Layout;

namespace Hotpot.Store.Index;

// The ordered index of a stripe: a B+-tree whose leaves refer to records and whose nodes, on each level, know their neighbour to the right (a B-link tree).
//
// Writers hold the stripe's lock. Readers hold nothing: they copy a node and check it, and need the neighbours for what a checksum of one node cannot tell. A split changes
// three nodes in one commit, and a reader may see the left one cut while its parent does not know the right one yet: then it finds the keys by going to the
// right. A node that does not fit its checksum is not there yet, and the reader begins again.
//
// Nodes are never given back. A leaf that has lost all its keys stays, so a reference to a node is good for ever and no reader can follow one into something else.
// Potential weakness: a store whose keys move in one direction for ever (time stamps, oldest deleted) leaves empty leaves behind, about 50 bytes for each key deleted.
internal static class StripeTree
{
    public static void Insert(StripeEdit edit, StripeSpace space, ReadOnlySpan<byte> key, int record)
    {
        if (edit.Read<int>(StripeLayout.RootOffset) == 0)
        {
            int first = space.Allocate(edit, TreeNode.BlockBytes);
            Span<byte> body = stackalloc byte[TreeNode.BodyBytes];
            TreeNode leaf = new(body);
            leaf.Clear();
            leaf.TryInsert(0, key, record);
            Save(edit, first, BlockKind.Leaf, body);
            edit.Set(StripeLayout.RootOffset, first);
            return;
        }
        List<int> path = PathTo(edit, key);
        Add(edit, space, path, path.Count - 1, key, record);
    }

    /// <summary>The record has moved.</summary>
    public static void Replace(StripeEdit edit, ReadOnlySpan<byte> key, int record)
    {
        Span<byte> body = stackalloc byte[TreeNode.BodyBytes];
        (int place, int index) = Find(edit, key, body);
        new TreeNode(body)[index] = record;
        Save(edit, place, BlockKind.Leaf, body);
    }

    public static void Remove(StripeEdit edit, ReadOnlySpan<byte> key)
    {
        Span<byte> body = stackalloc byte[TreeNode.BodyBytes];
        (int place, int index) = Find(edit, key, body);
        new TreeNode(body).Remove(index);
        Save(edit, place, BlockKind.Leaf, body);
    }

    private static (int Leaf, int Index) Find(StripeEdit edit, ReadOnlySpan<byte> key, Span<byte> body)
    {
        int leaf = PathTo(edit, key)[^1];
        Load(edit, leaf, body);
        TreeNode node = new(body);
        int index = node.LowerBound(key);
        return index < node.Count && node.Key(index).SequenceEqual(key)
            ? (leaf, index)
            : throw new StoreCorruptException("A record is in the store's hash index but not in its ordered index; restore the store from a copy.");
    }

    /// <summary>From the root to the leaf where the key belongs.</summary>
    private static List<int> PathTo(StripeEdit edit, ReadOnlySpan<byte> key)
    {
        List<int> path = [edit.Read<int>(StripeLayout.RootOffset)];
        Span<byte> body = stackalloc byte[TreeNode.BodyBytes];
        while (Load(edit, path[^1], body) == BlockKind.Inner)
        {
            TreeNode node = new(body);
            path.Add(node[node.ChildFor(key)]);
        }
        return path;
    }

    private static void Add(StripeEdit edit, StripeSpace space, List<int> path, int depth, ReadOnlySpan<byte> key, int reference)
    {
        Span<byte> body = stackalloc byte[TreeNode.BodyBytes];
        BlockKind kind = Load(edit, path[depth], body);
        TreeNode node = new(body);
        if (node.TryInsert(node.LowerBound(key), key, reference))
        {
            Save(edit, path[depth], kind, body);
            return;
        }
        int middle = node.MiddleByBytes();
        int rightPlace = space.Allocate(edit, TreeNode.BlockBytes);
        Span<byte> leftBody = stackalloc byte[TreeNode.BodyBytes], rightBody = stackalloc byte[TreeNode.BodyBytes];
        TreeNode left = new(leftBody), right = new(rightBody);
        left.Fill(node, 0, middle);
        right.Fill(node, middle, node.Count);
        left.Next = rightPlace;
        // Half of a node has room for the longest key.
        TreeNode target = key.SequenceCompareTo(right.Key(0)) < 0 ? left : right;
        target.TryInsert(target.LowerBound(key), key, reference);
        Save(edit, path[depth], kind, leftBody);
        Save(edit, rightPlace, kind, rightBody);
        if (depth > 0)
        {
            Add(edit, space, path, depth - 1, right.Key(0), rightPlace);
            return;
        }
        TreeNode root = new(body);
        root.Clear();
        root.TryInsert(0, [], path[0]);
        root.TryInsert(1, right.Key(0), rightPlace);
        int rootPlace = space.Allocate(edit, TreeNode.BlockBytes);
        Save(edit, rootPlace, BlockKind.Inner, body);
        edit.Set(StripeLayout.RootOffset, rootPlace);
    }

    private static BlockKind Load(StripeEdit edit, int place, Span<byte> body)
    {
        edit.Read(place + BlockHeader.Bytes, TreeNode.BodyBytes).CopyTo(body);
        return edit.Read<BlockHeader>(place).Kind;
    }

    private static void Save(StripeEdit edit, int place, BlockKind kind, ReadOnlySpan<byte> body) =>
        BlockHeader.Build(edit.Change(place, TreeNode.BlockBytes), kind, [], body);
}
