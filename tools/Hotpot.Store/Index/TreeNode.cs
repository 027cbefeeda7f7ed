using System.Buffers.Binary;
using Hotpot.Store.Layout;

namespace Hotpot.Store.Index;

// The body of a node of the ordered index: references in the order of their keys. Cells grow from the front, their offsets from the back:
//
//   int next | ushort count | ushort end of cells | cells: int reference, byte key length, key | ... | ushort offsets, last cell's first
//
// A removed cell leaves its bytes behind until the room is needed.
internal readonly ref struct TreeNode(Span<byte> body)
{
    /// <summary>Two nodes fill a page.</summary>
    public const int BodyBytes = 2032 - BlockHeader.Bytes;

    public const int BlockBytes = BodyBytes + BlockHeader.Bytes;

    private const int HeadBytes = 8;
    private const int CellBytes = sizeof(int) + 1;

    private readonly Span<byte> _body = body;

    /// <summary>The node to the right on the same level; zero: this is the last.</summary>
    public int Next
    {
        get => BinaryPrimitives.ReadInt32LittleEndian(_body);
        set => BinaryPrimitives.WriteInt32LittleEndian(_body, value);
    }

    public int Count
    {
        get => BinaryPrimitives.ReadUInt16LittleEndian(_body[4..]);
        private set => BinaryPrimitives.WriteUInt16LittleEndian(_body[4..], (ushort)value);
    }

    private int End
    {
        get => BinaryPrimitives.ReadUInt16LittleEndian(_body[6..]);
        set => BinaryPrimitives.WriteUInt16LittleEndian(_body[6..], (ushort)value);
    }

    public ReadOnlySpan<byte> Key(int index)
    {
        int cell = CellAt(index);
        return _body.Slice(cell + CellBytes, _body[cell + sizeof(int)]);
    }

    public int this[int index]
    {
        get => BinaryPrimitives.ReadInt32LittleEndian(_body[CellAt(index)..]);
        set => BinaryPrimitives.WriteInt32LittleEndian(_body[CellAt(index)..], value);
    }

    /// <summary>The first whose key is not below.</summary>
    public int LowerBound(ReadOnlySpan<byte> key)
    {
        int low = 0, high = Count;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (Key(middle).SequenceCompareTo(key) < 0)
                low = middle + 1;
            else
                high = middle;
        }
        return low;
    }

    /// <summary>The child under which a key belongs; the first child is also for what lies below its key.</summary>
    public int ChildFor(ReadOnlySpan<byte> key)
    {
        int at = LowerBound(key);
        bool isAt = at < Count && Key(at).SequenceEqual(key);
        return isAt || at == 0 ? at : at - 1;
    }

    public void Clear()
    {
        _body.Clear();
        End = HeadBytes;
    }

    /// <summary>False: there is no room.</summary>
    public bool TryInsert(int index, ReadOnlySpan<byte> key, int reference)
    {
        int wanted = CellBytes + key.Length + sizeof(ushort);
        if (End + wanted > OffsetAt(Count - 1))
        {
            if (HeadBytes + LiveBytes() + wanted > BodyBytes)
                return false;
            Span<byte> copy = stackalloc byte[BodyBytes];
            _body.CopyTo(copy);
            Fill(new TreeNode(copy), 0, Count);
        }
        int cell = End;
        BinaryPrimitives.WriteInt32LittleEndian(_body[cell..], reference);
        _body[cell + sizeof(int)] = (byte)key.Length;
        key.CopyTo(_body[(cell + CellBytes)..]);
        End = cell + CellBytes + key.Length;
        // Offsets lie in reverse, so those behind the new one move towards the front.
        int lastOffset = OffsetAt(Count - 1), newOffset = OffsetAt(index);
        _body[lastOffset..(newOffset + sizeof(ushort))].CopyTo(_body[(lastOffset - sizeof(ushort))..]);
        BinaryPrimitives.WriteUInt16LittleEndian(_body[newOffset..], (ushort)cell);
        Count++;
        return true;
    }

    public void Remove(int index)
    {
        int lastOffset = OffsetAt(Count - 1);
        _body[lastOffset..OffsetAt(index)].CopyTo(_body[(lastOffset + sizeof(ushort))..]);
        Count--;
    }

    /// <summary>Becomes a copy of some cells of another node, and of its reference to the right.</summary>
    public void Fill(TreeNode source, int from, int to)
    {
        Clear();
        Next = source.Next;
        for (int i = from; i < to; i++)
            TryInsert(i - from, source.Key(i), source[i]);
    }

    /// <summary>Where to split so that both halves hold about as many bytes.</summary>
    public int MiddleByBytes()
    {
        int half = LiveBytes() / 2;
        int index = 0;
        for (int bytes = 0; bytes < half; index++)
            bytes += CellBytes + Key(index).Length + sizeof(ushort);
        return Math.Clamp(index, 1, Count - 1);
    }

    private int LiveBytes()
    {
        int bytes = 0;
        for (int i = 0; i < Count; i++)
            bytes += CellBytes + Key(i).Length + sizeof(ushort);
        return bytes;
    }

    private int CellAt(int index) => BinaryPrimitives.ReadUInt16LittleEndian(_body[OffsetAt(index)..]);

    private static int OffsetAt(int index) => BodyBytes - sizeof(ushort) * (index + 1);
}
