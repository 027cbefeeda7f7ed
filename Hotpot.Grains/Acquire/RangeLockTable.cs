using Hotpot.Grains.Node;

namespace Hotpot.Grains.Acquire;

// Who holds which pages of the chunks that one node owns in one dataset, who commits to them now, and who waits.
//
// Scheme: a set of grants, a set of commits under way, and one queue in the order of asking. A grant lasts until it is released; a commit is in the
// table from before it locks pages until every sharer shows it. So a reader with a grant sees a commit whole or not at all. Whoever is in
// the queue also waits for those ahead, so a writer cannot be starved by readers that keep arriving.
//
//   overlapping, of   | Shared grant | Exclusive grant | commit
//   Shared            | no           | holders differ  | yes, of its own holder too: a picture that its own node changes is none either
//   Exclusive         | holders differ | holders differ | holders differ
//   commit            | yes          | holders differ  | no: the engine merges commits, page by page
//
// Who need not wait for those ahead:
//   an upgrade   (Shared to Exclusive, while Shared is held): whoever is ahead waits for this very holder, directly or not. It waits for the other sharers only.
//                Of two upgrades that overlap, each would wait for the other; so the later one is refused, keeps its Shared grant, and must release it.
//   a commit     where the request ahead waits for a grant of the committing holder, who may release it only after the commit.
//
// A holder asks for what it holds: that is refused, not counted, because the second release would free what the first user still relies on.
//
// Death of a holder: its grants and requests go. Its commits stay until recovery has settled them, so nobody reads what is still undecided.
// Change of owner: what belongs to chunks that this node owns no more is void. Everything carries the tenure stamp of its time; Prune
// cuts grants down to what is still owned since then. The new owner builds its table from what holders report (OwnedGrants.Census).
// Late releases: a grant carries the holder's ticket of the request that got it; a release names the ticket up to which it is meant, so one that
// was under way for long does not end a later grant.
//
// Invariants:
//   1. no two grants conflict, and no grant conflicts with a commit under way, by the table above;
//   2. one holder's grants do not overlap each other;
//   3. everything in the queue is blocked by a grant, a commit, or something ahead of it.
internal sealed partial class RangeLockTable
{
    /// <summary>More requests than this are refused: 64 nodes with 64 requests each.</summary>
    public const int MaxWaiting = 4096;

    // All three are changed only by the methods of this class, which its caller serialises.
    private readonly List<Grant> _grants = [];
    private readonly Dictionary<TransactionId, Commit> _commits = [];
    private readonly LinkedList<Waiter> _waiting = [];

    public sealed record Grant(GrantHolder Holder, ByteRange Range, AcquireMode Mode, ulong Stamp, ulong Ticket = 0);

    /// <summary>Something that may have to wait. <see cref="OnGranted"/> runs when its turn has come, inside the call that freed it.</summary>
    public abstract class Waiter(GrantHolder holder, ulong stamp, Action onGranted, Action<HotpotException> onRefused)
    {
        public GrantHolder Holder { get; } = holder;

        public ulong Stamp { get; } = stamp;

        public Action OnGranted { get; } = onGranted;

        public Action<HotpotException> OnRefused { get; } = onRefused;
    }

    public sealed class Request(
        GrantHolder holder, ByteRange range, AcquireMode mode, ulong stamp, Action onGranted, Action<HotpotException> onRefused, ulong ticket = 0,
        bool isUpgrade = false)
        : Waiter(holder, stamp, onGranted, onRefused)
    {
        public ByteRange Range { get; } = range;

        public AcquireMode Mode { get; } = mode;

        public ulong Ticket { get; } = ticket;

        /// <summary>The holder has the whole range as Shared and wants it as <see cref="AcquireMode.Exclusive"/>.</summary>
        public bool IsUpgrade { get; } = isUpgrade;
    }

    public IReadOnlyList<Grant> Grants => _grants;

    public IEnumerable<Request> Waiting => _waiting.OfType<Request>();

    /// <summary>All that waits, requests and commits, in order.</summary>
    public IEnumerable<Waiter> Queue => _waiting;

    public IEnumerable<Commit> Commits => _commits.Values;

    public int WaitingCount => _waiting.Count;

    /// <summary>True: granted now. False: it waits, and exactly one of its callbacks will run unless it is withdrawn.</summary>
    /// <exception cref="AlreadyAcquiredException">The holder has part of the range, or waits for it.</exception>
    /// <exception cref="NotAcquiredException">An upgrade of what the holder does not have.</exception>
    /// <exception cref="UpgradeConflictException">Another upgrade of part of the range waits already.</exception>
    /// <exception cref="LimitReachedException">The queue is full.</exception>
    public bool Acquire(Request request)
    {
        if (request.IsUpgrade)
        {
            if (HoldsExclusively(request.Holder, request.Range))
                return true;  // An earlier call was granted and its answer was lost.
            CheckUpgrade(request);
            return Enqueue(request, TakePlaceOf(request));
        }
        else if (_grants.Any(grant => grant.Holder == request.Holder && grant.Range.Overlaps(request.Range))
            || Waiting.Any(other => other.Holder == request.Holder && other.Range.Overlaps(request.Range)))
        {
            throw new AlreadyAcquiredException($"Node {request.Holder.Node} has acquired, or waits for, bytes {request.Range} already; release them first.");
        }
        return Enqueue(request);
    }

    /// <summary>Something waits for the grant: it is to be recalled.</summary>
    public bool IsInTheWay(Grant grant) => _waiting.Any(waiter => Conflicts(grant, waiter));

    /// <summary>Takes something out of the queue. False when it is not there any more: it has been granted or refused.</summary>
    public bool Withdraw(Waiter waiter)
    {
        bool removed = _waiting.Remove(waiter);
        GrantWhatIsFree();
        return removed;
    }

    /// <summary>Ends every grant of the holder that overlaps the range and was asked for by this ticket or before. False when there was none.</summary>
    public bool Release(GrantHolder holder, ByteRange range, ulong upToTicket = ulong.MaxValue)
    {
        int removed = _grants.RemoveAll(grant => grant.Holder == holder && grant.Range.Overlaps(range) && grant.Ticket <= upToTicket);
        Refuse(
            waiter => waiter is Request { IsUpgrade: true } upgrade && upgrade.Holder == holder && upgrade.Range.Overlaps(range) && upgrade.Ticket <= upToTicket,
            _ => new NotAcquiredException("The grant was released while it was being upgraded; acquire the pages again."));
        GrantWhatIsFree();
        return removed > 0;
    }

    /// <summary>Ends this very grant, if it is still there.</summary>
    public void Release(Grant grant)
    {
        _grants.RemoveAll(other => ReferenceEquals(other, grant));
        GrantWhatIsFree();
    }

    /// <summary>Enters a grant that an earlier owner gave. False when it conflicts with what is here: then nothing was entered.</summary>
    public bool TryImport(Grant grant)
    {
        if (_grants.Any(other => other.Holder == grant.Holder
                ? other.Range.Overlaps(grant.Range)
                : Conflicts(other.Range, other.Mode, grant.Range, grant.Mode))
            || _commits.Values.Any(commit => Conflicts(commit, grant.Holder, grant.Range, grant.Mode)))
            return false;
        _grants.Add(grant);
        return true;
    }

    /// <summary>Frees what a dead incarnation of a node, or an earlier one, held and waited for. Its commits are left to recovery.</summary>
    public void RemoveHolder(NodeId node, Incarnation upTo)
    {
        bool IsDead(GrantHolder holder) => holder.Node == node && holder.Incarnation.CompareTo(upTo) <= 0;
        _grants.RemoveAll(grant => IsDead(grant.Holder));
        Refuse(waiter => IsDead(waiter.Holder), waiter => new NodeUnavailableException($"Node {waiter.Holder} is dead; its requests are void."));
        GrantWhatIsFree();
    }

    /// <summary>Drops what is void because the ownership of its chunks has changed since.</summary>
    /// <param name="stillOwned">The parts of a range that this node has owned since a stamp without a break.</param>
    public void Prune(Func<ByteRange, ulong, IReadOnlyList<ByteRange>> stillOwned)
    {
        for (int i = _grants.Count - 1; i >= 0; i--)
        {
            Grant grant = _grants[i];
            IReadOnlyList<ByteRange> parts = stillOwned(grant.Range, grant.Stamp);
            if (parts is [var whole] && whole == grant.Range)
                continue;
            _grants.RemoveAt(i);
            _grants.AddRange(parts.Select(part => grant with { Range = part }));
        }
        bool IsWhole(ByteRange range, ulong stamp) => stillOwned(range, stamp) is [var whole] && whole == range;
        foreach (Commit commit in _commits.Values.Where(commit => commit.Ranges.All(range => stillOwned(range, commit.Stamp).Count == 0)).ToArray())
            _commits.Remove(commit.Transaction);
        Refuse(
            waiter => waiter is Request request ? !IsWhole(request.Range, request.Stamp) : !((Commit)waiter).Ranges.All(range => IsWhole(range, waiter.Stamp)),
            _ => new NotOwnerException("The ownership of the pages moved while they were waited for; ask the new owner."));
        GrantWhatIsFree();
    }

    /// <summary>The holder's exclusive grants contain every byte of the range.</summary>
    public bool HoldsExclusively(GrantHolder holder, ByteRange range) => Covers(holder, range, grant => grant.Mode == AcquireMode.Exclusive);

    private bool Covers(GrantHolder holder, ByteRange range, Predicate<Grant> counts)
    {
        // Invariant 2: no byte is counted twice.
        long covered = 0;
        foreach (Grant grant in _grants)
        {
            if (grant.Holder == holder && counts(grant))
                covered += grant.Range.Intersect(range).Length;
        }
        return covered == range.Length;
    }

    private void CheckUpgrade(Request request)
    {
        if (!Covers(request.Holder, request.Range, _ => true)
            || _grants.Any(grant => grant.Holder == request.Holder && grant.Range.Overlaps(request.Range) && !IsInside(grant.Range, request.Range)))
            throw new NotAcquiredException($"Node {request.Holder.Node} does not hold bytes {request.Range} as they are to be upgraded; acquire them first.");
        if (Waiting.FirstOrDefault(other => other.IsUpgrade && other.Holder != request.Holder && other.Range.Overlaps(request.Range)) is { } rival)
            throw UpgradeConflictException.With(rival.Holder.Node, request.Range);
    }

    /// <summary>The same holder asks again because its earlier call ended without an answer: the new request gets the old one's place.</summary>
    private LinkedListNode<Waiter>? TakePlaceOf(Request request)
    {
        if (Waiting.FirstOrDefault(other => other.IsUpgrade && other.Range.Overlaps(request.Range)) is not { } earlier)
            return null;
        LinkedListNode<Waiter> place = _waiting.Find(earlier)!;
        place.Value = request;
        earlier.OnRefused(new BusyException("The upgrade was asked for again."));
        return place;
    }

    private static bool IsInside(ByteRange inner, ByteRange outer) => inner.Offset >= outer.Offset && inner.End <= outer.End;

    private bool Enqueue(Waiter waiter, LinkedListNode<Waiter>? place = null)
    {
        if (_waiting.Count >= MaxWaiting)
            throw new LimitReachedException($"{MaxWaiting} requests wait for grants of this owner already; try again later.");
        LinkedListNode<Waiter> node = place ?? _waiting.AddLast(waiter);
        bool free = !IsBlocked(node);
        if (free)
        {
            Admit(node);
            GrantWhatIsFree();
        }
        return free;
    }

    private void Admit(LinkedListNode<Waiter> node)
    {
        _waiting.Remove(node);
        if (node.Value is Commit commit)
        {
            _commits[commit.Transaction] = commit;
            return;
        }
        Request request = (Request)node.Value;
        if (request.IsUpgrade)
            _grants.RemoveAll(mine => mine.Holder == request.Holder && mine.Range.Overlaps(request.Range));
        Grant grant = new(request.Holder, request.Range, request.Mode, request.Stamp, request.Ticket);
        AssertCompatible(grant, _grants);
        _grants.Add(grant);
    }

    private void Refuse(Predicate<Waiter> condition, Func<Waiter, HotpotException> reason)
    {
        for (LinkedListNode<Waiter>? node = _waiting.First, next; node is not null; node = next)
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
        // A grant may free a commit of its holder that is ahead of it, so the queue is gone through until nothing is free in it.
        for (bool changed = true; changed;)
        {
            changed = false;
            for (LinkedListNode<Waiter>? node = _waiting.First, next; node is not null; node = next)
            {
                next = node.Next;
                if (IsBlocked(node))
                    continue;
                Admit(node);
                node.Value.OnGranted();
                changed = true;
            }
        }
    }
}
