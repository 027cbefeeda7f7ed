using System.Diagnostics;
using Hotpot.Grains.Node;

namespace Hotpot.Grains.Acquire;

// Segments that nobody uses: taken up again, given up for something that overlaps them, or given back to their owners.
internal sealed partial class Acquirer
{
    private Segment? TakeIdle(Use use, ByteRange run)
    {
        lock (_lock)
        {
            // Of the same mode: the owner lets this node's own commits pass an exclusive grant, and a shared one must hold them off too.
            Segment? kept = _idle.Find(segment => segment.Dataset == use.Dataset && segment.Range.Offset == run.Offset
                && segment.Range.End <= run.End && segment.Mode == use.Mode);
            if (kept is null)
                return null;
            _idle.Remove(kept);
            use.Segments.Add(kept);
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
        List<Segment> returned = [];
        lock (_lock)
        {
            if (!_uses.Remove(use))
                return;
            // An upgrade under way may have been granted, which only a release up to its ticket ends.
            if (use.IsUpgrading)
                returned.AddRange(use.Segments.Select(segment => new Segment(segment.Dataset, segment.Range, segment.Mode, _tickets)));
            else
                (use.IsRecalled ? returned : _idle).AddRange(use.Segments);
            if (_idle.Count > MaxIdle)
            {
                returned.AddRange(_idle.Take(_idle.Count - MaxIdle));
                _idle.RemoveRange(0, _idle.Count - MaxIdle);
            }
        }
        foreach (Segment segment in returned)
            await GiveBackAsync(segment);
    }

    /// <summary>To whoever owns its chunks now, which may be several nodes.</summary>
    private async Task GiveBackAsync(Segment segment)
    {
        if (!datasets.TryGet(segment.Dataset, out LocalDataset local))
            return;
        foreach (IGrouping<NodeId, ChunkIndex> owned in local.Description.ChunksOf(segment.Range).GroupBy(chunk => local.Map.Find(chunk)?.Owner ?? NodeId.None))
        {
            // Nobody owns it now, so nobody remembers it; whoever comes to own it asks, and is not told of it.
            if (owned.Key.IsNone)
                continue;
            try
            {
                IOwnerGrain grain = grains.OwnerGrain(segment.Dataset, owned.Key);
                foreach (ByteRange run in local.Description.RangesOf(owned))
                    await grain.ReleaseAsync(Holder, run.Intersect(segment.Range), segment.Ticket);
            }
            catch (Exception error) when (TransientErrors.MayPass(error) || error is DatasetNotFoundException)
            {
                // The grant ends with its owner or its dataset. Should the owner live after all, it recalls the grant again and is told that it is free.
                Activity.Current?.AddException(error);
            }
        }
    }
}
