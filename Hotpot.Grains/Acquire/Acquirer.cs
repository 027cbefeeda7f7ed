using System.Diagnostics;
using Hotpot.Grains.Node;
using Hotpot.Runtime.Diagnostics;

namespace Hotpot.Grains.Acquire;

// The grants that this node holds, and who in this silo uses them.
//
// Scheme: a range is acquired run by run, a run being neighbouring chunks of one owner, in the order of (owner, offset). Commits prepare in the order of owners
// too, so neither two nodes that acquire overlapping ranges nor a reader and a commit over several owners wait for each other in a
// circle. What an owner granted is kept as a segment. A segment is in use by one IGrant, or idle. Release makes it idle and tells nobody: a node that takes the
// same pages in the same mode again and again pays one call, once.
//
// Recall: an owner whose other requesters wait asks for the segment back, again and again while they wait. Idle: it is given up in the answer. In use, or still
// being acquired: it is marked, and the release sends it back. The mark is on the use, not on the segment, because the recall may overtake the
// answer that grants it. A segment that is not here is not held, whatever its owner remembers, and the answer says so.
//
// Change of owner: a segment stays good. The new owner asks every node what it holds before it grants anything (ListHeld); from then on it recalls it and takes
// it back. What is being acquired at that moment from the earlier owner was not in the answer, so it does not count when it arrives: it is asked for again.
//
// Release on commit: CommitOptions.ReleaseGrants releases what lies inside the committed ranges, as its dispose would.
// Upgrade (Acquirer.Upgrade.cs): Shared to Exclusive without letting go in between.
//
// Every wait ends with the caller's time-out, its cancellation or this node (NodeLifetime); an owner that says nothing at all is given a second more. Only a release waits for its
// calls, each of which has the host's time-out.
//
// Invariants: the ranges of two uses in one dataset never overlap; nor do those of two segments, idle or in use.
//
// Potential weakness: while chunks change their owners, two nodes may go by different orders and wait for each other; then the time-outs end it.
internal sealed partial class Acquirer(NodeIdentity self, IGrainFactory grains, DatasetRegistry datasets, NodeLifetime lifetime, TimeProvider time) : IAcquirer
{
    /// <summary>Idle segments: what a hot writer goes back to. One more, and the one that was released first is given back.</summary>
    internal const int MaxIdle = 1024;

    /// <summary>Between attempts while a chunk recovers or moves.</summary>
    private static readonly TimeSpan RetryDelay = TimeSpan.FromMilliseconds(20);

    /// <summary>An owner times out by itself and says why; one that says nothing for this much longer is not waited for.</summary>
    private static readonly TimeSpan AnswerSlack = TimeSpan.FromSeconds(1);

    /// <summary>One call lasts no longer; see <see cref="GrainTimeouts.CallersOwn"/>.</summary>
    private static readonly TimeSpan LongestTry = TimeSpan.FromDays(1);

    private readonly Lock _lock = new();

    // All are written under _lock.
    private readonly List<Use> _uses = [];
    private readonly List<Segment> _idle = [];
    private readonly List<Asking> _asking = [];
    private ulong _tickets;

    private GrantHolder Holder => new() { Node = self.Node, Incarnation = self.Incarnation };

    public async Task<IGrant> AcquireAsync(
        DatasetDescription dataset, ByteRange range, AcquireMode mode, TimeSpan timeout, CancellationToken cancellationToken)
    {
        range.CheckInside(dataset.Size, dataset.Name);
        if (range.IsEmpty)
            throw new InvalidRequestException("An empty range cannot be acquired; give at least one byte.");
        using Activity? activity = HotpotDiagnostics.Activities.StartActivity("hotpot.acquire");
        long started = Stopwatch.GetTimestamp();
        HotpotStatus status = HotpotStatus.Failed;
        LocalDataset local = await datasets.OpenAsync(dataset.Id, cancellationToken);
        Use use = new(this, local, dataset.PagesOf(range), mode);
        Register(use);
        try
        {
            DateTimeOffset deadline = time.GetUtcNow() + timeout;
            while (Missing(use).Count > 0)
                await lifetime.RunAsync(
                    ending => RepeatAsync(use, deadline, (left, limit) => TryAcquireRunAsync(use, left, limit), ending), cancellationToken);
            use.IsComplete = true;
            status = HotpotStatus.Ok;
            return use;
        }
        catch (HotpotException error)
        {
            status = error.Status;
            await ReleaseAsync(use);
            throw;
        }
        catch (Exception)
        {
            await ReleaseAsync(use);
            throw;
        }
        finally
        {
            HotpotDiagnostics.RecordAcquire(started, status);
        }
    }

    private void Register(Use use)
    {
        lock (_lock)
        {
            if (_uses.Any(other => other.Dataset == use.Dataset && other.Range.Overlaps(use.Range)))
                throw AlreadyAcquiredException.Of(use.Local.Description.Name, use.Range);
            _uses.Add(use);
        }
    }

    /// <summary>Tries until somebody grants, refuses for good, or the time is over.</summary>
    private async Task<Segment> RepeatAsync(
        Use use, DateTimeOffset deadline, Func<TimeSpan, CancellationToken, Task<Segment?>> attempt, CancellationToken cancellationToken)
    {
        while (true)
        {
            cancellationToken.ThrowIfCancellationRequested();
            TimeSpan left = deadline - time.GetUtcNow();
            if (left <= TimeSpan.Zero)
                throw new HotpotTimeoutException(
                    $"Bytes {use.Range} of dataset '{use.Local.Description.Name}' were not granted in time; try again or wait longer.");
            using CancellationTokenSource late = new(left < LongestTry ? left + AnswerSlack : LongestTry, time);
            using CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, late.Token);
            try
            {
                if (await TryAsync(deadline, () => attempt(left, limit.Token), limit.Token) is { } segment)
                    return segment;
                // The chunk recovers or moves, or its owner is gone: the map says who is next, once the dataset grain has decided.
                await Task.Delay(RetryDelay, time, limit.Token);
                await datasets.TryRefreshAsync(use.Local, limit.Token);
            }
            catch (OperationCanceledException error) when (late.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
            {
                Activity.Current?.AddException(error);
            }
        }
    }

    /// <summary>Null: whatever happened says nothing about the next try.</summary>
    private async Task<Segment?> TryAsync(DateTimeOffset deadline, Func<Task<Segment?>> attempt, CancellationToken limit)
    {
        try
        {
            return await attempt();
        }
        catch (Exception error) when (error is NotOwnerException || TransientErrors.MayPass(error)
            || (error is OperationCanceledException && !limit.IsCancellationRequested))
        {
            // Cancelled by nobody here: the owner's activation went. A time-out of the owner's queue is the answer, not a lost one.
            if (error is HotpotTimeoutException && time.GetUtcNow() >= deadline)
                throw;
            Activity.Current?.AddException(error);
            return null;
        }
    }

    /// <summary>One try at the next run; null when nobody can grant it now.</summary>
    private async Task<Segment?> TryAcquireRunAsync(Use use, TimeSpan left, CancellationToken cancellationToken)
    {
        (NodeId owner, ByteRange run) = await FindRunAsync(use.Local, Missing(use)).WaitAsync(cancellationToken);
        if (owner.IsNone)
            return null;
        // In its turn only: an idle segment that is taken early is held while others are waited for.
        if (TakeIdle(use, run) is { } kept)
            return kept;
        await GiveUpIdleAsync(use.Dataset, run).WaitAsync(cancellationToken);
        Asking asking = BeginAsking(use, run, use.Mode);
        IOwnerGrain grain = grains.OwnerGrain(use.Dataset, owner);
        try
        {
            // The wait ends with the token even where the call does not.
            await grain.AcquireAsync(asking.Request(Holder, left), cancellationToken).WaitAsync(cancellationToken);
            return EndAsking(asking, segment => use.Segments.Add(segment));
        }
        catch (AlreadyAcquiredException)
        {
            // Nobody here uses these bytes, so the owner remembers a grant whose release or whose answer was lost: it ends, and is asked for again.
            await grain.ReleaseAsync(Holder, run, asking.Ticket).WaitAsync(cancellationToken);
            return null;
        }
        finally
        {
            EndAsking(asking, null);
        }
    }

    private Asking BeginAsking(Use use, ByteRange run, AcquireMode mode, bool isUpgrade = false)
    {
        lock (_lock)
        {
            Asking asking = new(use, run, mode, isUpgrade, ++_tickets);
            _asking.Add(asking);
            return asking;
        }
    }

    /// <summary>Keeps what was granted, unless a new owner has asked in between what is held: it did not hear of this.</summary>
    private Segment? EndAsking(Asking asking, Action<Segment>? keep)
    {
        lock (_lock)
        {
            if (!_asking.Remove(asking) || keep is null || asking.IsOvertaken)
                return null;
            Segment segment = new(asking.Use.Dataset, asking.Run, asking.Mode, asking.Ticket);
            keep(segment);
            return segment;
        }
    }

    /// <summary>The parts of the range that are still to be acquired, ascending.</summary>
    private List<ByteRange> Missing(Use use)
    {
        List<ByteRange> missing = [];
        long offset = use.Range.Offset;
        lock (_lock)
        {
            foreach (ByteRange have in use.Segments.Select(segment => segment.Range).OrderBy(range => range.Offset))
            {
                if (have.Offset > offset)
                    missing.Add(new ByteRange(offset, have.Offset - offset));
                offset = have.End;
            }
        }
        if (offset < use.Range.End)
            missing.Add(new ByteRange(offset, use.Range.End - offset));
        return missing;
    }

    /// <summary>The first run in the order of (owner, offset); no owner while a chunk of the ranges recovers, because then the order is not known.</summary>
    private async Task<(NodeId Owner, ByteRange Run)> FindRunAsync(LocalDataset local, IReadOnlyList<ByteRange> wanted)
    {
        DatasetDescription dataset = local.Description;
        LocalChunkMap map = local.Map;
        ChunkIndex[] unassigned = [.. wanted.SelectMany(dataset.ChunksOf).Where(chunk => map.Find(chunk) is null)];
        if (unassigned.Length > 0)
            await datasets.ApplyMapAsync(local, await grains.DatasetGrain(dataset.Id).AssignAsync(unassigned, self.Node, minDegree: 1));
        (NodeId Owner, ByteRange Run) first = (NodeId.None, default);
        foreach (ByteRange range in wanted)
        {
            foreach (ChunkIndex chunk in dataset.ChunksOf(range))
            {
                if (map.Find(chunk) is not { Phase: ChunkPhase.Active } entry)
                    return (NodeId.None, default);
                ByteRange piece = dataset.RangeOf(chunk).Intersect(range);
                if (first.Owner.IsNone || entry.Owner.CompareTo(first.Owner) < 0)
                    first = (entry.Owner, piece);
                else if (entry.Owner == first.Owner && piece.Offset == first.Run.End)
                    first.Run = new ByteRange(first.Run.Offset, piece.End - first.Run.Offset);
            }
        }
        return first;
    }
}
