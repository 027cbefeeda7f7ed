namespace Hotpot.Runtime;

/// <summary>What the data directory is made of, and so when a log append is durable (hp_medium).</summary>
public enum Medium
{
    /// <summary>Persistent memory (an fsdax file, or tmpfs as its stand-in): durable when libpmem has drained.</summary>
    Pmem = 0,

    /// <summary>A file system on a disk: durable when fdatasync returned, several commits at a time.</summary>
    File = 1,

    /// <summary>Never durable: copies in the memory of N nodes are the whole promise.</summary>
    Memory = 2,
}

/// <summary>What an engine is started with. Zero means the native side's default where that is said.</summary>
public sealed record EngineSettings
{
    public required string DataDirectory { get; init; }

    public Medium Medium { get; init; } = Medium.File;

    /// <summary>"ip:port" for the data path; port 0 takes any.</summary>
    public required string BindAddress { get; init; }

    /// <summary>Transports, in the form of UCX_TLS; null = shared memory or RDMA where there is, else TCP.</summary>
    public string? Transports { get; init; }

    /// <summary>What every node of the cluster proves to know: 16 to 64 bytes.</summary>
    public required ReadOnlyMemory<byte> ClusterKey { get; init; }

    /// <summary>A fault that nothing could serve this long ends in SIGBUS; zero is 30 s.</summary>
    public TimeSpan MissTimeout { get; init; }

    /// <summary>Zero is 64 MiB; at least 48 MiB, so that the largest transaction fits one segment.</summary>
    public long LogSegmentBytes { get; init; }

    /// <summary>The store is checkpointed when the log is larger; zero is 256 MiB.</summary>
    public long CheckpointLogBytes { get; init; }

    /// <summary>New commits are held back while the log is larger; null is four times <see cref="CheckpointLogBytes"/>.</summary>
    public long? LogLimitBytes { get; init; }

    /// <summary>Memory for committed pages, above which those that can be had again are given up; null keeps all of them.</summary>
    public long? FrontBudget { get; init; }

    /// <summary>How long a waiting caller polls before it sleeps; zero never polls.</summary>
    public TimeSpan Spin { get; init; }

    /// <summary>Most pages fetched ahead of a sequential miss; zero is 64.</summary>
    public int ReadAheadPages { get; init; }

    /// <summary>False never opens a userfaultfd: mapping is refused, explicit reads and writes work.</summary>
    public bool UseUserfaultfd { get; init; } = true;

    /// <summary>False uses /proc/self/pagemap even where the kernel has PAGEMAP_SCAN.</summary>
    public bool UsePagemapScan { get; init; } = true;

    /// <summary>A test facility: the process kills itself at this named point. Null is never.</summary>
    public string? CrashAt { get; init; }
}

/// <summary>What an engine says about itself after its start (hp_node_info).</summary>
[GenerateSerializer]
public sealed record NodeInfo
{
    [Id(0)] public required NodeId NodeId { get; init; }

    [Id(1)] public required Incarnation Incarnation { get; init; }

    /// <summary>Where peers connect to; given to <see cref="Engine.SetPeer"/> on every other node.</summary>
    [Id(2)] public required string FabricAddress { get; init; }

    /// <summary>Views can be mapped.</summary>
    [Id(3)] public bool Userfaultfd { get; init; }

    [Id(4)] public bool PagemapScan { get; init; }

    /// <summary>libpmem says that the medium is persistent memory.</summary>
    [Id(5)] public bool MediumIsPmem { get; init; }
}
