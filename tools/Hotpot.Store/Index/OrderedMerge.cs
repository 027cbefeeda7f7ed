namespace Hotpot.Store.Index;

/// <summary>The keys of all stripes in one order: each stripe has those that its hash gave it.</summary>
internal sealed class OrderedMerge(int stripes)
{
    private readonly StripeCursor[] _cursors = [.. Enumerable.Range(0, stripes).Select(_ => new StripeCursor())];

    // A heap by key of the cursors that have one: the smallest is the first. Written by the one thread that uses this, as is the count.
    private readonly StripeCursor[] _heap = new StripeCursor[stripes];
    private int _count;

    public bool IsAtEnd => _count == 0;

    public StripeCursor Current => _heap[0];

    public void Seek(Func<int, StripeReader> readerOf, ReadOnlySpan<byte> from)
    {
        _count = 0;
        for (int stripe = 0; stripe < _cursors.Length; stripe++)
        {
            if (_cursors[stripe].Seek(readerOf(stripe), from))
                _heap[_count++] = _cursors[stripe];
        }
        for (int at = _count / 2 - 1; at >= 0; at--)
            Sink(at);
    }

    public void MoveNext()
    {
        if (!_heap[0].MoveNext())
            _heap[0] = _heap[--_count];
        Sink(0);
    }

    private void Sink(int at)
    {
        while (2 * at + 1 < _count)
        {
            int child = 2 * at + 1;
            if (child + 1 < _count && IsBefore(child + 1, child))
                child++;
            if (!IsBefore(child, at))
                return;
            (_heap[at], _heap[child]) = (_heap[child], _heap[at]);
            at = child;
        }
    }

    private bool IsBefore(int a, int b) => _heap[a].Key.SequenceCompareTo(_heap[b].Key) < 0;
}
