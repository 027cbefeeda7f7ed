namespace Hotpot.Grains;

/// <summary>The settings of the grains. All nodes of a cluster use the same.</summary>
public sealed class HotpotGrainsOptions
{
    /// <summary>The name of the grain storage that holds the namespace and the chunk maps; the silo must register one under it.</summary>
    public const string StorageName = "hotpot";

    /// <summary>
    /// Where views are mapped: the region of the address space that Hotpot takes for itself. The default, 32 TiB to 64 TiB, is free in
    /// ordinary .NET processes and in sanitizer builds; see docs/views.md.
    /// </summary>
    public ulong RegionStart { get; set; } = 0x2000_0000_0000;

    /// <summary>The first address behind the region.</summary>
    public ulong RegionEnd { get; set; } = 0x4000_0000_0000;

    /// <summary>How often a node looks for outstanding work of its datasets when nothing has told it to.</summary>
    public TimeSpan MaintenanceInterval { get; set; } = TimeSpan.FromSeconds(2);

    /// <summary>How often an owner looks who uses its chunks, to give them to their heaviest users; zero: never.</summary>
    public TimeSpan MigrationInterval { get; set; } = TimeSpan.FromSeconds(5);

    /// <summary>Pages fetched and committed in one interval below which a chunk stays where it is: moving it costs about as much as 100 commits.</summary>
    public long MigrationMinimumPages { get; set; } = 1000;

    /// <summary>How long a stopping silo waits for its own commits to end.</summary>
    public TimeSpan DrainTimeout { get; set; } = TimeSpan.FromSeconds(5);

    /// <summary>How long a stopping silo tries to hand its chunks over before it leaves them to fail-over.</summary>
    public TimeSpan HandOverTimeout { get; set; } = TimeSpan.FromSeconds(10);

    /// <summary>How long a remote client's read waits for pages.</summary>
    public TimeSpan RemoteReadTimeout { get; set; } = TimeSpan.FromSeconds(20);
}
