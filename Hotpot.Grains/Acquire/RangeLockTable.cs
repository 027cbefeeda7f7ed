using System.Diagnostics;

namespace Hotpot.Grains.Acquire;

// Who holds which pages of the chunks that one node owns in one dataset, and who waits for them.
//
// Scheme: a set of grants and one queue, in the order of asking. A request is granted when it conflicts with no grant of another holder
// and with no request that is ahead of it, so a writer cannot be starved by readers that keep arriving. Two ranges conflict
// when they overlap and at least one of them is exclusive. A holder asks for what it holds: that is refused, not counted, because
// the second release would free what the first user still relies on.
//
// Normal case: acquire is granted at once, or waits; release grants every waiter that is now free to go.
// Death of a holder: its grants and requests go, and the waiters behind them move up.
// Change of owner: the grants of a chunk that this node owns no more are void. Each grant carries the tenure stamp of its time; Prune drops those
// for which the caller's predicate fails, and requests with them.
//
// Invariants:
//   1. no two grants of different holders conflict;
//   2. one holder's grants do not overlap each other;
//   3. every waiting request conflicts with a grant of another holder or with a request ahead of it.
//
// Potential weakness: the table lives as long as its node, not longer. After a fail-over the new owner knows no grants, and a holder learns that
// by NotAcquiredException at its next commit.
internal sealed class RangeLockTable
{
    /// <summary>More requests than this are refused: 64 nodes with 64 requests each.</summary>
    public const int MaxWaiting = 4096;

    // Both are changed only by the methods of this class, which its caller serialises.
    private readonly List<Grant> _grants = [];
    private readonly LinkedList<Request> _waiting = [];

    public sealed record Grant(GrantHolder Holder, ByteRange Range, AcquireMode Mode, ulong Stamp);

    /// <summary>A request that waits. <see cref="OnGranted"/> runs when its turn has come, inside the call that freed it.</summary>
    public sealed class Request(GrantHolder holder, ByteRange range, AcquireMode mode, ulong stamp, Action onGranted, Action<HotpotException> onRefused)
    {
        public GrantHolder Holder { get; } = holder;

        public ByteRange Range { get; } = range;

        public AcquireMode Mode { get; } = mode;

        public ulong Stamp { get; } = stamp;

        public Action OnGranted { get; } = onGranted;

        public Action<HotpotException> OnRefused { get; } = onRefused;
    }

    public IReadOnlyList<Grant> Grants => _grants;

    public IEnumerable<Request> Waiting => _waiting;

    public int WaitingCount => _waiting.Count;

    /// <summary>True: granted now. False: it waits, and exactly one of its callbacks will run unless it is withdrawn.</summary>
    /// <exception cref="AlreadyAcquiredException">The holder has part of the range, or waits for it.</exception>
    /// <exception cref="LimitReachedException">The queue is full.</exception>
    public bool Acquire(Request request)
    {
        if (_grants.Any(grant => grant.Holder == request.Holder && grant.Range.Overlaps(request.Range))
            || _waiting.Any(other => other.Holder == request.Holder && other.Range.Overlaps(request.Range)))
            throw new AlreadyAcquiredException($"Node {request.Holder.Node} has acquired, or waits for, bytes {request.Range} already; release them first.");
        if (_waiting.Count >= MaxWaiting)
            throw new LimitReachedException($"{MaxWaiting} requests wait for grants of this owner already; try again later.");
        LinkedListNode<Request> node = _waiting.AddLast(request);
        bool granted = !IsBlocked(node);
        if (granted)
            Admit(node);
        return granted;
    }

    /// <summary>The grants of others that stand in the way of a request: those to recall.</summary>
    public IReadOnlyList<Grant> ConflictingGrants(GrantHolder holder, ByteRange range, AcquireMode mode) =>
        [.. _grants.Where(grant => grant.Holder != holder && Conflicts(grant.Range, grant.Mode, range, mode))];

    /// <summary>Takes a request out of the queue. False when it is not there any more: it has been granted or refused.</summary>
    public bool Withdraw(Request request)
    {
        bool removed = _waiting.Remove(request);
        GrantWhatIsFree();
        return removed;
    }

    /// <summary>Ends every grant of the holder that overlaps the range. False when there was none.</summary>
    public bool Release(GrantHolder holder, ByteRange range)
    {
        int removed = _grants.RemoveAll(grant => grant.Holder == holder && grant.Range.Overlaps(range));
        GrantWhatIsFree();
        return removed > 0;
    }

    /// <summary>Frees what a dead incarnation of a node, or an earlier one, held and waited for.</summary>
    public void RemoveHolder(NodeId node, Incarnation upTo)
    {
        bool IsDead(GrantHolder holder) => holder.Node == node && holder.Incarnation.CompareTo(upTo) <= 0;
        _grants.RemoveAll(grant => IsDead(grant.Holder));
        Refuse(request => IsDead(request.Holder), request => new NodeUnavailableException($"Node {request.Holder} is dead; its requests are void."));
        GrantWhatIsFree();
    }

    /// <summary>Drops the grants and requests that are void because the ownership of their chunks has changed since.</summary>
    public void Prune(Func<ByteRange, ulong, bool> isValid)
    {
        _grants.RemoveAll(grant => !isValid(grant.Range, grant.Stamp));
        Refuse(
            request => !isValid(request.Range, request.Stamp),
            request => new NotOwnerException($"The ownership of bytes {request.Range} moved while they were waited for; ask the new owner."));
        GrantWhatIsFree();
    }

    /// <summary>The holder's exclusive grants contain every byte of the range.</summary>
    public bool HoldsExclusively(GrantHolder holder, ByteRange range)
    {
        long covered = range.Offset;
        foreach (Grant grant in _grants.Where(grant => grant.Holder == holder && grant.Mode == AcquireMode.Exclusive).OrderBy(grant => grant.Range.Offset))
        {
            if (grant.Range.Offset > covered)
                break;
            covered = Math.Max(covered, grant.Range.End);
        }
        return covered >= range.End;
    }

    private static bool Conflicts(ByteRange left, AcquireMode leftMode, ByteRange right, AcquireMode rightMode) =>
        left.Overlaps(right) && (leftMode == AcquireMode.Exclusive || rightMode == AcquireMode.Exclusive);

    private bool IsBlocked(LinkedListNode<Request> node)
    {
        Request request = node.Value;
        if (_grants.Any(grant => grant.Holder != request.Holder && Conflicts(grant.Range, grant.Mode, request.Range, request.Mode)))
            return true;
        for (LinkedListNode<Request>? ahead = node.Previous; ahead is not null; ahead = ahead.Previous)
        {
            if (Conflicts(ahead.Value.Range, ahead.Value.Mode, request.Range, request.Mode))
                return true;
        }
        return false;
    }

    private void Admit(LinkedListNode<Request> node)
    {
        _waiting.Remove(node);
        Grant grant = new(node.Value.Holder, node.Value.Range, node.Value.Mode, node.Value.Stamp);
        AssertCompatible(grant, _grants);
        _grants.Add(grant);
    }

    private void Refuse(Predicate<Request> condition, Func<Request, HotpotException> reason)
    {
        for (LinkedListNode<Request>? node = _waiting.First, next; node is not null; node = next)
        {
            next = node.Next;
            if (!condition(node.Value))
                continue;
            _waiting.Remove(node);
            node.Value.OnRefused(reason(node.Value));
        }
    }

    private void GrantWhatIsFree()
    {
        for (LinkedListNode<Request>? node = _waiting.First, next; node is not null; node = next)
        {
            next = node.Next;
            if (IsBlocked(node))
                continue;
            Admit(node);
            node.Value.OnGranted();
        }
    }

    /// <summary>All three invariants, for tests: its cost grows with the square of the table. Invariants 1 and 2 are also checked at each grant.</summary>
    internal void AssertInvariants()
    {
        for (int i = 0; i < _grants.Count; i++)
            AssertCompatible(_grants[i], _grants.Take(i));
        for (LinkedListNode<Request>? node = _waiting.First; node is not null; node = node.Next)
        {
            if (!IsBlocked(node))
                throw new UnreachableException($"A request waits for nothing: {node.Value.Holder} {node.Value.Range}.");
        }
    }

    private static void AssertCompatible(Grant grant, IEnumerable<Grant> others)
    {
        foreach (Grant other in others)
        {
            bool broken = other.Holder == grant.Holder
                ? other.Range.Overlaps(grant.Range)
                : Conflicts(other.Range, other.Mode, grant.Range, grant.Mode);
            if (broken)
                throw new UnreachableException($"Two grants conflict: {grant} and {other}.");
        }
    }
}
