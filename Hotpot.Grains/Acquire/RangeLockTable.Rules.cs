namespace Hotpot.Grains.Acquire;

// Who stands in whose way: the table at the head of RangeLockTable.cs, as code.
internal sealed partial class RangeLockTable
{
    /// <summary>A commit at this owner: it waits for grants in its way, then stays in the table until it has ended.</summary>
    /// <param name="ranges">Ascending, without overlap: the pages it changes, or whole chunks around them.</param>
    public sealed class Commit(
        TransactionId transaction, GrantHolder holder, IReadOnlyList<ByteRange> ranges, ulong stamp, Action onGranted, Action<HotpotException> onRefused)
        : Waiter(holder, stamp, onGranted, onRefused)
    {
        public TransactionId Transaction { get; } = transaction;

        public IReadOnlyList<ByteRange> Ranges { get; } = ranges;

        public bool Overlaps(ByteRange range)
        {
            int low = 0, high = Ranges.Count;
            while (low < high)
            {
                int middle = (low + high) / 2;
                if (Ranges[middle].End <= range.Offset)
                    low = middle + 1;
                else
                    high = middle;
            }
            return low < Ranges.Count && Ranges[low].Overlaps(range);
        }
    }

    /// <summary>True: it may go on, and is under way until <see cref="EndCommit"/>. False: it waits, as a request does.</summary>
    public bool BeginCommit(Commit commit)
    {
        if (_commits.ContainsKey(commit.Transaction))
            return true;  // Asked again: it is under way already.
        return Enqueue(commit);
    }

    public bool IsUnderWay(TransactionId transaction) => _commits.ContainsKey(transaction);

    /// <summary>The commit was applied everywhere, or never will be. Idempotent: null when it is not there.</summary>
    public Commit? EndCommit(TransactionId transaction)
    {
        if (_commits.Remove(transaction, out Commit? ended))
            GrantWhatIsFree();
        return ended;
    }

    /// <summary>Some grant or request touches one of the ranges: a commit there has to look at its pages.</summary>
    public bool IsAnythingAt(IReadOnlyList<ByteRange> ranges) =>
        _grants.Any(grant => ranges.Any(grant.Range.Overlaps)) || Waiting.Any(request => ranges.Any(request.Range.Overlaps));

    private static bool Conflicts(ByteRange left, AcquireMode leftMode, ByteRange right, AcquireMode rightMode) =>
        left.Overlaps(right) && (leftMode == AcquireMode.Exclusive || rightMode == AcquireMode.Exclusive);

    private static bool Conflicts(Commit commit, GrantHolder holder, ByteRange range, AcquireMode mode) =>
        (mode == AcquireMode.Shared || commit.Holder != holder) && commit.Overlaps(range);

    private static bool Conflicts(Grant grant, Waiter waiter) => waiter is Request request
        ? grant.Holder != request.Holder && Conflicts(grant.Range, grant.Mode, request.Range, request.Mode)
        : Conflicts((Commit)waiter, grant.Holder, grant.Range, grant.Mode);

    private bool IsBlocked(LinkedListNode<Waiter> node)
    {
        Waiter waiter = node.Value;
        if (_grants.Any(grant => Conflicts(grant, waiter)))
            return true;
        if (waiter is Request asked)
        {
            if (_commits.Values.Any(commit => Conflicts(commit, asked.Holder, asked.Range, asked.Mode)))
                return true;
            if (asked.IsUpgrade)
                return false;
        }
        for (LinkedListNode<Waiter>? ahead = node.Previous; ahead is not null; ahead = ahead.Previous)
        {
            if (HoldsBack(ahead.Value, waiter))
                return true;
        }
        return false;
    }

    private bool HoldsBack(Waiter ahead, Waiter waiter) => (ahead, waiter) switch
    {
        (Request first, Request second) => Conflicts(first.Range, first.Mode, second.Range, second.Mode),
        (Commit first, Request second) => Conflicts(first, second.Holder, second.Range, second.Mode),
        (Request first, Commit second) => Conflicts(second, first.Holder, first.Range, first.Mode)
            && !_grants.Any(mine => mine.Holder == second.Holder && Conflicts(mine, first)),
        _ => false,
    };
}
