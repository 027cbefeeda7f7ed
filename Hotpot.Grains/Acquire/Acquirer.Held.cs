using Hotpot.Grains.Node;

namespace Hotpot.Grains.Acquire;

// What this node holds: the records, and what owners and commits ask about them.
internal sealed partial class Acquirer
{
    /// <summary>An owner asks for a grant back. True when nobody uses it: it is given up with this answer.</summary>
    public bool Recall(DatasetId dataset, ByteRange range)
    {
        lock (_lock)
        {
            // Used, or on its way to a user: the release sends it back. What a user will only come to ask for later is not held.
            Use[] users =
            [
                .. _uses.Where(use => use.Dataset == dataset && use.Segments.Exists(segment => segment.Range.Overlaps(range))),
                .. _asking.Where(asking => asking.Use.Dataset == dataset && asking.Run.Overlaps(range)).Select(asking => asking.Use),
            ];
            foreach (Use use in users)
                use.IsRecalled = true;
            if (users.Length > 0)
                return false;
            _idle.RemoveAll(segment => segment.Dataset == dataset && segment.Range.Overlaps(range));
            return true;
        }
    }

    /// <summary>A new owner asks what is held. What an earlier one has granted and has not arrived here does not count from now on.</summary>
    public GrantInfo[] ListHeld(DatasetId dataset, IReadOnlyCollection<ByteRange> ranges)
    {
        lock (_lock)
        {
            foreach (Asking asking in _asking.Where(asking => asking.Use.Dataset == dataset && ranges.Any(asking.Run.Overlaps)))
                asking.IsOvertaken = true;
            return
            [
                .. _uses.SelectMany(use => use.Segments).Concat(_idle)
                    .Where(segment => segment.Dataset == dataset && ranges.Any(segment.Range.Overlaps))
                    .Select(segment => new GrantInfo { Holder = Holder, Range = segment.Range, Mode = segment.Mode, Ticket = segment.Ticket }),
            ];
        }
    }

    /// <summary>The ranges of a dataset that users in this silo hold exclusively now, in order.</summary>
    public ByteRange[] HeldExclusively(DatasetId dataset)
    {
        // Every commit to a single-writer dataset asks: only the result is allocated.
        lock (_lock)
        {
            int count = 0;
            foreach (Use use in _uses)
                count += IsHeldExclusively(use, dataset) ? 1 : 0;
            ByteRange[] ranges = new ByteRange[count];
            foreach (Use use in _uses)
            {
                if (IsHeldExclusively(use, dataset))
                    ranges[--count] = use.Range;
            }
            if (ranges.Length > 1)
                Array.Sort(ranges, static (left, right) => left.Offset.CompareTo(right.Offset));
            return ranges;
        }
    }

    private static bool IsHeldExclusively(Use use, DatasetId dataset) => use.Dataset == dataset && use.Mode == AcquireMode.Exclusive && use.IsComplete;

    /// <summary>The grants in use that lie wholly inside pages that are to be committed.</summary>
    /// <param name="ranges">Whole pages; none means the whole dataset.</param>
    public IReadOnlyList<IGrant> HeldInside(DatasetId dataset, IReadOnlyList<ByteRange> ranges)
    {
        lock (_lock)
            return
            [
                .. _uses.Where(use => use.Dataset == dataset && use.IsComplete
                    && (ranges.Count == 0 || ranges.Any(range => range.Offset <= use.Range.Offset && range.End >= use.Range.End))),
            ];
    }

    /// <summary>What an owner granted, in one piece. Immutable.</summary>
    private sealed class Segment(DatasetId dataset, ByteRange range, AcquireMode mode, ulong ticket)
    {
        public DatasetId Dataset { get; } = dataset;

        public ByteRange Range { get; } = range;

        public AcquireMode Mode { get; } = mode;

        public ulong Ticket { get; } = ticket;
    }

    /// <summary>A request that is on its way to an owner, or back.</summary>
    private sealed class Asking(Use use, ByteRange run, AcquireMode mode, bool isUpgrade, ulong ticket)
    {
        public Use Use { get; } = use;

        public ByteRange Run { get; } = run;

        public AcquireMode Mode { get; } = mode;

        public ulong Ticket { get; } = ticket;

        // Written under the acquirer's lock.
        public bool IsOvertaken { get; set; }

        public AcquireRequest Request(GrantHolder holder, TimeSpan timeout) =>
            new() { Holder = holder, Range = Run, Mode = Mode, Timeout = timeout, Ticket = Ticket, IsUpgrade = isUpgrade };
    }

    private sealed class Use(Acquirer acquirer, LocalDataset local, ByteRange range, AcquireMode mode) : IGrant
    {
        public LocalDataset Local { get; } = local;

        public DatasetId Dataset => Local.Description.Id;

        public ByteRange Range { get; } = range;

        // Written under the acquirer's lock, by an upgrade that is complete.
        public AcquireMode Mode { get; set; } = mode;

        // Written under the acquirer's lock, by the acquiring or upgrading call.
        public List<Segment> Segments { get; } = [];

        // Written under the acquirer's lock.
        public bool IsRecalled { get; set; }

        // Written once, by the acquiring call.
        public volatile bool IsComplete;

        // Written under the acquirer's lock.
        public bool IsUpgrading { get; set; }

        public Task UpgradeAsync(TimeSpan timeout, CancellationToken cancellationToken) => acquirer.UpgradeAsync(this, timeout, cancellationToken);

        public ValueTask DisposeAsync() => acquirer.ReleaseAsync(this);
    }
}
