namespace Hotpot.Grains.Acquire;

// From Shared to Exclusive while the pages are held, so that what was read is still true when it is written. Segment by segment, in the order of acquiring; an upgrade that fails
// half way leaves the first ones exclusive, which is more than the user needs and goes with the grant.
internal sealed partial class Acquirer
{
    private async Task UpgradeAsync(Use use, TimeSpan timeout, CancellationToken cancellationToken)
    {
        lock (_lock)
        {
            if (!_uses.Contains(use))
                throw new NotAcquiredException($"The grant of bytes {use.Range} of dataset '{use.Local.Description.Name}' has been released; acquire them again.");
            if (use.Mode == AcquireMode.Exclusive)
                return;
            if (use.IsUpgrading)
                throw new InvalidRequestException("The grant is being upgraded already; wait for that call.");
            use.IsUpgrading = true;
        }
        try
        {
            DateTimeOffset deadline = time.GetUtcNow() + timeout;
            while (NextShared(use) is { } segment)
                await lifetime.RunAsync(
                    ending => RepeatAsync(use, deadline, (left, limit) => TryUpgradeAsync(use, segment, left, limit), ending), cancellationToken);
            lock (_lock)
                use.Mode = AcquireMode.Exclusive;
        }
        finally
        {
            lock (_lock)
                use.IsUpgrading = false;
        }
    }

    private Segment? NextShared(Use use)
    {
        lock (_lock)
            return _uses.Contains(use)
                ? use.Segments.Where(segment => segment.Mode == AcquireMode.Shared)
                    .MinBy(segment => (use.Local.Map.Find(use.Local.Description.ChunkOf(segment.Range.Offset))?.Owner ?? NodeId.None, segment.Range.Offset))
                : throw new NotAcquiredException($"The grant of bytes {use.Range} was released while it was being upgraded; acquire them again.");
    }

    /// <summary>One try at a run of the segment: as much of it as one node owns now.</summary>
    private async Task<Segment?> TryUpgradeAsync(Use use, Segment segment, TimeSpan left, CancellationToken cancellationToken)
    {
        (NodeId owner, ByteRange run) = await FindRunAsync(use.Local, [segment.Range]).WaitAsync(cancellationToken);
        if (owner.IsNone)
            return null;
        Asking asking = BeginAsking(use, run, AcquireMode.Exclusive, isUpgrade: true);
        try
        {
            await grains.OwnerGrain(use.Dataset, owner).AcquireAsync(asking.Request(Holder, left), cancellationToken).WaitAsync(cancellationToken);
            return EndAsking(asking, upgraded =>
            {
                int at = use.Segments.IndexOf(segment);
                if (at < 0)
                    return;  // Released meanwhile: whoever wants it next finds by a recall that nobody uses it.
                use.Segments[at] = upgraded;
                foreach (ByteRange rest in new[]
                    { new ByteRange(segment.Range.Offset, run.Offset - segment.Range.Offset), new ByteRange(run.End, segment.Range.End - run.End) })
                {
                    if (!rest.IsEmpty)
                        use.Segments.Add(new Segment(segment.Dataset, rest, segment.Mode, segment.Ticket));
                }
            });
        }
        finally
        {
            EndAsking(asking, null);
        }
    }
}
