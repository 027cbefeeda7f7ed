namespace Hotpot.Silo;

/// <summary>
/// What a Hotpot silo can be told: section "Hotpot" of the configuration. Every property is explained in
/// docs/configuration.md; SettingNames makes the names of environment variables and command-line options from them.
/// </summary>
public sealed class HotpotOptions
{
    public const string Section = "Hotpot";

    /// <summary>Where this node keeps its identity, its log and its store. It must not be shared with another node.</summary>
    public string DataDirectory { get; set; } = "";

    public Medium Medium { get; set; } = Medium.File;

    /// <summary>"ip:port" of the data path: an address that the other nodes reach; port 0 takes any.</summary>
    public string BindAddress { get; set; } = "127.0.0.1:0";

    /// <summary>What all nodes of the cluster prove to know: 16 to 64 bytes of text. Prefer <see cref="ClusterKeyFile"/>.</summary>
    public string? ClusterKey { get; set; }

    /// <summary>A file with the cluster key; white space around it is not part of it.</summary>
    public string? ClusterKeyFile { get; set; }

    /// <summary>Transports, in the form of UCX_TLS; empty = shared memory or RDMA where there is, else TCP.</summary>
    public string? Transports { get; set; }

    /// <summary>
    /// Where datasets are mapped, as "0xSTART-0xEND"; the same on all nodes. Empty: 16 TiB to 80 TiB, above what a heap grows into.
    /// </summary>
    public string? BaseRegion { get; set; }

    /// <summary>A load or store that no node could serve for this long ends in SIGBUS.</summary>
    public TimeSpan MissTimeout { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>Most pages fetched ahead of a sequential miss.</summary>
    public int ReadAheadPages { get; set; } = 64;

    /// <summary>The size of one file of the redo log.</summary>
    public long LogSegmentBytes { get; set; } = 64L << 20;

    /// <summary>The store is brought up to date, and the log cut, when the log is larger than this.</summary>
    public long CheckpointLogBytes { get; set; } = 256L << 20;

    /// <summary>New commits are held back while the log is larger than this; null: four times <see cref="CheckpointLogBytes"/>.</summary>
    public long? LogLimitBytes { get; set; }

    /// <summary>Bytes of memory for committed pages, above which those that can be had again are given up; null: all are kept.</summary>
    public long? FrontBudget { get; set; }

    /// <summary>How long a waiting caller polls before it sleeps. It pays only where cores are idle.</summary>
    public TimeSpan Spin { get; set; } = TimeSpan.Zero;

    /// <summary>False: datasets cannot be mapped, and explicit reads and writes work where userfaultfd is not permitted.</summary>
    public bool Userfaultfd { get; set; } = true;

    /// <summary>False: changed pages are found through /proc/self/pagemap.</summary>
    public bool PagemapScan { get; set; } = true;

    /// <summary>How long a stopping silo may take to hand over its chunks and flush.</summary>
    public TimeSpan DrainTimeout { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>How often the node looks who uses the chunks it owns, to give them to their heaviest users; zero: never.</summary>
    public TimeSpan MigrationInterval { get; set; } = TimeSpan.FromSeconds(5);

    /// <summary>Pages fetched and committed in one such interval below which a chunk stays where it is.</summary>
    public long MigrationMinimumPages { get; set; } = 1000;

    /// <summary>"ip:port" of the HTTP health endpoint; empty: none.</summary>
    public string? HealthAddress { get; set; }

    /// <summary>Embedded actor host: the directory in which the silos of this machine meet.</summary>
    public string? ClusterDirectory { get; set; }

    /// <summary>Orleans: how silos find each other.</summary>
    public ClusteringKind Clustering { get; set; } = ClusteringKind.Localhost;

    /// <summary>Orleans: the database of membership and grain state, for <see cref="ClusteringKind.AdoNet"/>.</summary>
    public string? ConnectionString { get; set; }

    /// <summary>Orleans: the ADO.NET provider of that database.</summary>
    public string AdoNetInvariant { get; set; } = "Npgsql";

    /// <summary>Nodes with different cluster ids do not see each other.</summary>
    public string ClusterId { get; set; } = "hotpot";

    public string ServiceId { get; set; } = "hotpot";

    /// <summary>Orleans: the address that other silos and clients connect to; empty: that of this machine's first interface.</summary>
    public string? AdvertisedAddress { get; set; }

    /// <summary>Orleans: silo to silo.</summary>
    public int SiloPort { get; set; } = 11111;

    /// <summary>Orleans: client to silo; 0: no clients.</summary>
    public int GatewayPort { get; set; } = 30000;

    /// <summary>A test facility: the process kills itself at this named point of the data path.</summary>
    public string? CrashAt { get; set; }
}

/// <summary>How Orleans silos find each other.</summary>
public enum ClusteringKind
{
    /// <summary>One machine, for development: the first silo's ports are known, and grain state is in its memory.</summary>
    Localhost = 0,

    /// <summary>A table of a database, such as PostgreSQL, which also keeps grain state.</summary>
    AdoNet = 1,
}
