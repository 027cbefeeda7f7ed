using Hotpot.Store.Layout;

namespace Hotpot.Store.Index;

/// <summary>Goes through the keys of one stripe in order, from a copy of one leaf to the next. What is inserted or deleted meanwhile may or may not be met.</summary>
internal sealed class StripeCursor
{
    /// <summary>Deeper than any tree of a stripe: a way that is longer was read while it changed.</summary>
    private const int DepthMax = 24;

    private readonly byte[] _body = new byte[TreeNode.BodyBytes];
    private readonly byte[] _last = new byte[byte.MaxValue];

    // All are written by the one thread that uses the cursor.
    private StripeReader _reader;
    private int _index;

    public StripeReader Reader => _reader;

    public ReadOnlySpan<byte> Key => Node.Key(_index);

    /// <summary>Where the record was when the leaf was copied.</summary>
    public int Record => Node[_index];

    private TreeNode Node => new(_body);

    /// <summary>To the first key that is not below; false: there is none.</summary>
    public bool Seek(StripeReader reader, ReadOnlySpan<byte> key)
    {
        _reader = reader;
        return SeekHere(key, isAfter: false);
    }

    public bool MoveNext()
    {
        if (++_index < Node.Count)
            return true;
        if (Node.Next == 0)
            return false;
        ReadOnlySpan<byte> last = Node.Key(_index - 1);
        Span<byte> from = _last.AsSpan(0, last.Length);
        last.CopyTo(from);
        return TryGoRight(from, isAfter: true, out bool found) ? found : SeekHere(from, isAfter: true);
    }

    private bool SeekHere(ReadOnlySpan<byte> key, bool isAfter)
    {
        Patience patience = new();
        while (true)
        {
            int root = _reader.Root;
            if (root == 0)
                return false;
            if (TryDescend(root, key) && TryGoRight(key, isAfter, out bool found))
                return found;
            patience.Wait("A node of the store's ordered index");
        }
    }

    private bool TryDescend(int place, ReadOnlySpan<byte> key)
    {
        for (int depth = 0; depth < DepthMax; depth++)
        {
            if (!_reader.TryReadNode(place, _body, out BlockHeader header))
                return false;
            if (header.Kind == BlockKind.Leaf)
            {
                _index = -1;
                return true;
            }
            place = Node[Node.ChildFor(key)];
        }
        return false;
    }

    /// <summary>In this leaf or in one to the right. False: a neighbour was being changed.</summary>
    private bool TryGoRight(ReadOnlySpan<byte> key, bool isAfter, out bool found)
    {
        while (true)
        {
            TreeNode node = Node;
            _index = node.LowerBound(key);
            if (isAfter && _index < node.Count && node.Key(_index).SequenceEqual(key))
                _index++;
            found = _index < node.Count;
            if (found || node.Next == 0)
                return true;
            if (!_reader.TryReadNode(node.Next, _body, out BlockHeader header) || header.Kind != BlockKind.Leaf)
                return false;
        }
    }
}
