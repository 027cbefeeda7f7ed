using System.Diagnostics;
using System.Diagnostics.Metrics;

namespace Hotpot.Runtime.Diagnostics;

// The observable instruments of one engine. Reading the engine's figures takes its turn, so one reading serves all the
// instruments of a collection: it is kept for a moment, longer than a collection takes and shorter than any export interval.
internal sealed class EngineMetrics : IDisposable
{
    private static readonly TimeSpan ReadingLifetime = TimeSpan.FromMilliseconds(50);

    private readonly Engine _engine;
    private readonly Meter _meter;
    private readonly Lock _lock = new();

    // Both are read and written under _lock.
    private EngineStatistics _reading;
    private long _readAt;

    // Written once, under _lock; afterwards the engine is not read any more.
    private bool _disposed;

    public EngineMetrics(Engine engine)
    {
        _engine = engine;
        _meter = new Meter(
            HotpotDiagnostics.MeterName, HotpotDiagnostics.Version,
            [new KeyValuePair<string, object?>("hotpot.node", engine.NodeId.ToString())]);

        Counter("hotpot.misses", "{page}", "Pages filled because of a fault.", s => s.Misses);
        Counter("hotpot.miss.time", "ns", "From reading the fault to waking the thread, summed over misses.", s => s.MissNsSum);
        Gauge("hotpot.miss.time.max", "ns", "The longest miss since the start.", s => s.MissNsMax);
        Counter("hotpot.miss.failed", "{fault}", "Faults that nothing could serve, ended in SIGBUS.", s => s.FailedFaults);
        Counter("hotpot.fault.events", "{event}", "Messages read from userfaultfd.", s => s.FaultEvents);
        Counter("hotpot.fetch.requests", "{request}", "Requests for pages sent to owners.", s => s.FetchRequests);
        Counter("hotpot.fetch.bytes", "By", "Page bytes received.", s => s.FetchBytes);
        Counter("hotpot.served.bytes", "By", "Page bytes sent to fetchers.", s => s.ServedBytes);
        Counter("hotpot.prefetch.pages", "{page}", "Pages filled because they were asked for.", s => s.PrefetchPages);
        Counter("hotpot.commits", "{transaction}", "Transactions applied as owner.", s => s.Commits);
        Counter("hotpot.aborts", "{transaction}", "Transactions dropped as owner.", s => s.Aborts);
        Counter("hotpot.conflicts", "{transaction}", "Transactions refused because the same bytes had changed.", s => s.Conflicts);
        Counter("hotpot.log.bytes", "By", "Bytes appended to the redo log.", s => s.LogBytes);
        Gauge("hotpot.log.used", "By", "Bytes of log not yet truncated.", s => s.LogUsedBytes);
        Counter("hotpot.checkpoints", "{checkpoint}", "Checkpoints of the store.", s => s.Checkpoints);
        Counter("hotpot.pushed.bytes", "By", "Committed bytes pushed to sharers.", s => s.PushedBytes);
        Gauge("hotpot.twins", "{page}", "Base pages kept beside private pages.", s => s.Twins);
        Counter("hotpot.freezes", "{page}", "Write-protections taken to apply a foreign change.", s => s.Freezes);
        Counter("hotpot.refused.stale", "{message}", "Messages with an old epoch or incarnation.", s => s.RefusedStale);
        Counter("hotpot.refused.malformed", "{message}", "Messages that made no sense.", s => s.RefusedMalformed);
        Counter("hotpot.refused.unauthenticated", "{peer}", "Peers that did not know the cluster key.", s => s.RefusedAuth);
        Counter("hotpot.peers.lost", "{peer}", "Connections that broke.", s => s.PeersLost);
        Gauge("hotpot.peers.connected", "{peer}", "Authenticated connections.", s => s.PeersConnected);
        Gauge("hotpot.replicas.missing", "{chunk}", "Chunks owned here with fewer counted replicas than the degree.", s => s.ReplicasMissing);
        Counter("hotpot.sent.bytes", "By", "All bytes sent to peers.", s => s.BytesSent);
        Counter("hotpot.received.bytes", "By", "All bytes received from peers.", s => s.BytesReceived);
        Gauge("hotpot.front.bytes", "By", "Memory held by all fronts.", s => s.FrontBytes);
        Counter("hotpot.front.evicted", "{page}", "Pages given up for the front's budget.", s => s.EvictedPages);
        Counter("hotpot.front.refetched", "{page}", "Pages given up and filled again.", s => s.RefetchedPages);
        Counter("hotpot.commits.held_back", "{transaction}", "Commits refused at a bound of records, log or front.", s => s.HeldBack);
        Gauge("hotpot.owned.bytes", "By", "Records of transactions under way that this node owns.", s => s.OwnedBytes);
        Counter("hotpot.records.hidden", "{record}", "Records whose commits did not wait until this node showed them, because nobody read there.", s => s.RecordsHidden);
        Counter("hotpot.commits.direct", "{transaction}", "Commits of other nodes carried out as owner without the grain.", s => s.DirectCommits);
    }

    public void Dispose()
    {
        lock (_lock)
            _disposed = true;
        _meter.Dispose();
    }

    private void Counter(string name, string unit, string description, Func<EngineStatistics, ulong> pick) =>
        _meter.CreateObservableCounter(name, () => Measure(pick), unit, description);

    private void Gauge(string name, string unit, string description, Func<EngineStatistics, ulong> pick) =>
        _meter.CreateObservableGauge(name, () => Measure(pick), unit, description);

    private long Measure(Func<EngineStatistics, ulong> pick)
    {
        lock (_lock)
        {
            if (!_disposed && (_readAt == 0 || Stopwatch.GetElapsedTime(_readAt) > ReadingLifetime))
            {
                _reading = _engine.Statistics();
                _readAt = Stopwatch.GetTimestamp();
            }
            return unchecked((long)pick(_reading));
        }
    }
}
