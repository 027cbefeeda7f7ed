using System.Runtime.InteropServices;

namespace Hotpot.Runtime;

/// <summary>
/// An engine's counters since its start, with the layout of hp_stats; those marked "now" are levels, not counters.
/// </summary>
[GenerateSerializer]
[StructLayout(LayoutKind.Sequential, Size = NativeSize)]
public struct EngineStatistics
{
    // 32 counters and hp_stats.reserved: room for later counters without a new ABI version. A size and no field, because
    // what is reserved does not travel between silos.
    private const int NativeSize = 40 * sizeof(ulong);

    /// <summary>Pages filled because of a fault.</summary>
    [Id(0)] public ulong Misses;

    /// <summary>Messages read from userfaultfd.</summary>
    [Id(1)] public ulong FaultEvents;

    /// <summary>From reading the event to waking the thread, summed over misses.</summary>
    [Id(2)] public ulong MissNsSum;

    /// <summary>The longest of those.</summary>
    [Id(3)] public ulong MissNsMax;

    /// <summary>Requests sent to owners.</summary>
    [Id(4)] public ulong FetchRequests;

    /// <summary>Page bytes received.</summary>
    [Id(5)] public ulong FetchBytes;

    /// <summary>Page bytes sent to fetchers.</summary>
    [Id(6)] public ulong ServedBytes;

    /// <summary>Pages filled because they were asked for, not touched.</summary>
    [Id(7)] public ulong PrefetchPages;

    /// <summary>Faults that nothing could serve, ended in SIGBUS.</summary>
    [Id(8)] public ulong FailedFaults;

    /// <summary>Transactions applied as owner.</summary>
    [Id(9)] public ulong Commits;

    /// <summary>Transactions dropped as owner.</summary>
    [Id(10)] public ulong Aborts;

    /// <summary>Prepares refused because the same bytes had changed.</summary>
    [Id(11)] public ulong Conflicts;

    /// <summary>Bytes appended to the redo log.</summary>
    [Id(12)] public ulong LogBytes;

    /// <summary>Now: bytes of log not yet truncated.</summary>
    [Id(13)] public ulong LogUsedBytes;

    /// <summary>Checkpoints of the store.</summary>
    [Id(14)] public ulong Checkpoints;

    /// <summary>Committed bytes pushed to sharers.</summary>
    [Id(15)] public ulong PushedBytes;

    /// <summary>Now: base pages kept beside private pages.</summary>
    [Id(16)] public ulong Twins;

    /// <summary>Write-protections taken while a foreign change was applied.</summary>
    [Id(17)] public ulong Freezes;

    /// <summary>Messages with an old epoch or incarnation.</summary>
    [Id(18)] public ulong RefusedStale;

    /// <summary>Messages that made no sense.</summary>
    [Id(19)] public ulong RefusedMalformed;

    /// <summary>Peers that did not know the cluster key.</summary>
    [Id(20)] public ulong RefusedAuth;

    /// <summary>Connections that broke.</summary>
    [Id(21)] public ulong PeersLost;

    /// <summary>Now: authenticated connections.</summary>
    [Id(22)] public ulong PeersConnected;

    /// <summary>Now: chunks owned here with fewer counted replicas than the degree.</summary>
    [Id(23)] public ulong ReplicasMissing;

    /// <summary>All bytes sent to peers.</summary>
    [Id(24)] public ulong BytesSent;

    /// <summary>All bytes received from peers.</summary>
    [Id(25)] public ulong BytesReceived;

    /// <summary>Now: memory held by all fronts.</summary>
    [Id(26)] public ulong FrontBytes;

    /// <summary>What the fronts may hold before they give up pages; zero when there is no budget.</summary>
    [Id(27)] public ulong FrontBudgetBytes;

    /// <summary>Pages given up for the budget.</summary>
    [Id(28)] public ulong EvictedPages;

    /// <summary>Of those, pages that were filled again.</summary>
    [Id(29)] public ulong RefetchedPages;

    /// <summary>Commits refused at a bound: of the records in memory, of the log, of the front.</summary>
    [Id(30)] public ulong HeldBack;

    /// <summary>Now: bytes of the records of transactions under way that this node owns.</summary>
    [Id(31)] public ulong OwnedBytes;

    /// <summary>Records of others whose commits did not wait until this node showed them, because nobody read there.</summary>
    [Id(32)] public ulong RecordsHidden;

    /// <summary>Commits of other nodes that this node carried out as owner without its grain.</summary>
    [Id(33)] public ulong DirectCommits;
}

/// <summary>What this node holds of one dataset now, with the layout of hp_dataset_stat.</summary>
[GenerateSerializer]
[StructLayout(LayoutKind.Sequential)]
public struct DatasetStatistics
{
    [Id(0)] public ulong ChunksOwned;

    [Id(1)] public ulong ChunksHeld;

    [Id(2)] public ulong PagesPresent;

    [Id(3)] public ulong PagesPrivate;

    [Id(4)] public ulong FrontBytes;

    [Id(5)] public ulong StoreBytes;
}
