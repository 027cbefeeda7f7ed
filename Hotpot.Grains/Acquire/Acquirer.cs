using System.Diagnostics;
using Hotpot.Grains.Node;
using Hotpot.Runtime.Diagnostics;

namespace Hotpot.Grains.Acquire;

// The grants that this node holds, and who in this silo uses them.
//
// Scheme: a range is acquired run by run, a run being neighbouring chunks of one owner, in ascending order of offset, so that two nodes that acquire
// overlapping ranges cannot wait for each other in a circle. What an owner granted is kept as a segment. A segment is in use by one IGrant, or
// idle. Release makes it idle and tells nobody: a node that takes the same pages again and again pays one call, once.
//
// Recall: an owner whose other requesters wait asks for the segment back. Idle: it is given up in the answer. In use, or still being acquired: it is
// marked, and the release sends it back. The mark is on the use, not on the segment, because the recall may overtake the
// answer that grants it.
//
// Change of owner: a segment is good only while its owner has owned its chunks without a break (LocalChunkMap.IsOwnedSince); the owner judges the
// same way on its side. A use whose segment went void keeps running, and its commit ends in NotAcquiredException.
//
// Invariant: the ranges of two uses in one dataset never overlap.
internal sealed class Acquirer(NodeIdentity self, IGrainFactory grains, DatasetRegistry datasets, NodeLifetime lifetime, TimeProvider time) : IAcquirer
{
    /// <summary>Between attempts while a chunk recovers or moves.</summary>
    private static readonly TimeSpan RetryDelay = TimeSpan.FromMilliseconds(20);

    private readonly Lock _lock = new();

    // Both are written under _lock.
    private readonly List<Use> _uses = [];
    private readonly List<Segment> _idle = [];

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
            for (long offset = use.Range.Offset; offset < use.Range.End;)
            {
                Segment segment = await lifetime.RunAsync(ending => AcquireRunAsync(use, offset, deadline, ending), cancellationToken);
                use.Segments.Add(segment);
                offset = segment.Range.End;
            }
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

    /// <summary>An owner asks for a grant back. True when nobody uses it: it is given up with this answer.</summary>
    public bool Recall(DatasetId dataset, ByteRange range, NodeId owner)
    {
        lock (_lock)
        {
            bool inUse = false;
            foreach (Use use in _uses.Where(use => use.Dataset == dataset && use.Range.Overlaps(range)))
            {
                use.IsRecalled = true;
                inUse = true;
            }
            if (inUse)
                return false;
            _idle.RemoveAll(segment => segment.Dataset == dataset && segment.Owner == owner && segment.Range.Overlaps(range));
            return true;
        }
    }

    /// <summary>The ranges of a dataset that users in this silo hold exclusively now, in order.</summary>
    public ByteRange[] HeldExclusively(DatasetId dataset)
    {
        lock (_lock)
            return
            [
                .. _uses.Where(use => use.Dataset == dataset && use.Mode == AcquireMode.Exclusive && use.IsComplete)
                    .Select(use => use.Range).OrderBy(range => range.Offset),
            ];
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

    private async Task<Segment> AcquireRunAsync(Use use, long offset, DateTimeOffset deadline, CancellationToken cancellationToken)
    {
        while (true)
        {
            cancellationToken.ThrowIfCancellationRequested();
            TimeSpan left = deadline - time.GetUtcNow();
            if (left <= TimeSpan.Zero)
                throw new HotpotTimeoutException(
                    $"Bytes {use.Range} of dataset '{use.Local.Description.Name}' were not granted in time; try again or wait longer.");
            try
            {
                if (await TryAcquireRunAsync(use, offset, left, cancellationToken) is { } segment)
                    return segment;
            }
            catch (Exception error) when (error is NotOwnerException || TransientErrors.MayPass(error))
            {
                // A time-out of the owner's queue is the answer, not a lost one.
                if (error is HotpotTimeoutException && time.GetUtcNow() >= deadline)
                    throw;
                Activity.Current?.AddException(error);
            }
            // The chunk recovers or moves, or its owner is gone: the map says who is next, once the dataset grain has decided.
            await Task.Delay(RetryDelay, time, cancellationToken);
            await datasets.TryRefreshAsync(use.Local, cancellationToken);
        }
    }

    /// <summary>One try at the run that begins at the offset; null when nobody can grant it now.</summary>
    private async Task<Segment?> TryAcquireRunAsync(Use use, long offset, TimeSpan left, CancellationToken cancellationToken)
    {
        (NodeId owner, ByteRange run) = await FindRunAsync(use, offset, cancellationToken);
        if (owner.IsNone)
            return null;
        if (TakeIdle(use, owner, run) is { } kept)
            return kept;
        await GiveUpIdleAsync(use.Dataset, run);
        ulong stamp = use.Local.Map.Stamp;
        IOwnerGrain grain = grains.OwnerGrain(use.Dataset, owner);
        AcquireRequest request = new() { Holder = Holder, Range = run, Mode = use.Mode, Timeout = left };
        try
        {
            // The wait ends with the token even where the call does not.
            await grain.AcquireAsync(request, cancellationToken).WaitAsync(cancellationToken);
        }
        catch (AlreadyAcquiredException)
        {
            // Nobody here uses these bytes, so the owner remembers a grant whose release or whose answer was lost: it ends, and is asked for again.
            await grain.ReleaseAsync(Holder, run);
            return null;
        }
        return new Segment(use.Dataset, owner, run, use.Mode, stamp);
    }

    /// <summary>The owner of the chunk at the offset, and the bytes from there on that it owns too; no owner while the chunk recovers.</summary>
    private async Task<(NodeId Owner, ByteRange Run)> FindRunAsync(Use use, long offset, CancellationToken cancellationToken)
    {
        DatasetDescription dataset = use.Local.Description;
        LocalChunkMap map = use.Local.Map;
        ChunkIndex[] unassigned = [.. dataset.ChunksOf(use.Range).Where(chunk => map.Find(chunk) is null)];
        if (unassigned.Length > 0)
            map.Apply(await grains.DatasetGrain(use.Dataset).AssignAsync(unassigned, self.Node, minDegree: 1).WaitAsync(cancellationToken));
        ChunkIndex first = dataset.ChunkOf(offset);
        if (map.Find(first) is not { Phase: ChunkPhase.Active } entry)
            return (NodeId.None, default);
        long end = dataset.RangeOf(first).End;
        while (end < use.Range.End && map.Find(dataset.ChunkOf(end)) is { Phase: ChunkPhase.Active } next && next.Owner == entry.Owner)
            end = dataset.RangeOf(next.Chunk).End;
        return (entry.Owner, new ByteRange(offset, Math.Min(end, use.Range.End) - offset));
    }

    private Segment? TakeIdle(Use use, NodeId owner, ByteRange run)
    {
        lock (_lock)
        {
            Segment? kept = _idle.Find(segment =>
                segment.Dataset == use.Dataset && segment.Owner == owner && segment.Mode >= use.Mode && segment.Range == run
                && use.Local.Map.IsOwnedSince(owner, run, segment.Stamp));
            if (kept is not null)
                _idle.Remove(kept);
            return kept;
        }
    }

    /// <summary>Idle segments that overlap a new request without fitting it would make the owner refuse it as a second acquire.</summary>
    private async Task GiveUpIdleAsync(DatasetId dataset, ByteRange run)
    {
        Segment[] surplus;
        lock (_lock)
        {
            surplus = [.. _idle.Where(segment => segment.Dataset == dataset && segment.Range.Overlaps(run))];
            _idle.RemoveAll(surplus.Contains);
        }
        foreach (Segment segment in surplus)
            await GiveBackAsync(segment);
    }

    private async ValueTask ReleaseAsync(Use use)
    {
        Segment[] recalled;
        lock (_lock)
        {
            if (!_uses.Remove(use))
                return;
            recalled = use.IsRecalled ? [.. use.Segments] : [];
            if (!use.IsRecalled)
                _idle.AddRange(use.Segments);
        }
        foreach (Segment segment in recalled)
            await GiveBackAsync(segment);
    }

    private async Task GiveBackAsync(Segment segment)
    {
        try
        {
            await grains.OwnerGrain(segment.Dataset, segment.Owner).ReleaseAsync(Holder, segment.Range);
        }
        catch (Exception error) when (TransientErrors.MayPass(error) || error is DatasetNotFoundException)
        {
            // The grant ends with its owner or its dataset. Should the owner live after all, it recalls the grant again and is told that it is free.
            Activity.Current?.AddException(error);
        }
    }

    private sealed record Segment(DatasetId Dataset, NodeId Owner, ByteRange Range, AcquireMode Mode, ulong Stamp);

    private sealed class Use(Acquirer acquirer, LocalDataset local, ByteRange range, AcquireMode mode) : IGrant
    {
        public LocalDataset Local { get; } = local;

        public DatasetId Dataset => Local.Description.Id;

        public ByteRange Range { get; } = range;

        public AcquireMode Mode { get; } = mode;

        // Appended to by the acquiring call alone, before anyone else has the use.
        public List<Segment> Segments { get; } = [];

        // Written under the acquirer's lock.
        public bool IsRecalled { get; set; }

        public bool IsComplete => Segments.Count > 0 && Segments[^1].Range.End == Range.End;

        public ValueTask DisposeAsync() => acquirer.ReleaseAsync(this);
    }
}
