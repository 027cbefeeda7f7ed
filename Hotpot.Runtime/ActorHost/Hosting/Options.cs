namespace Hotpot.Actors;

/// <summary>Which cluster this is. Silos and clients of another cluster are refused.</summary>
public class ClusterOptions
{
    public const string DefaultClusterId = "default";
    public const string DefaultServiceId = "default";

    public string ClusterId { get; set; } = DefaultClusterId;

    public string ServiceId { get; set; } = DefaultServiceId;
}

/// <summary>The silo itself.</summary>
public class SiloOptions
{
    /// <summary>
    /// Unique among the living silos of a cluster, and kept over restarts. Without it, a name is made of the process
    /// id.
    /// </summary>
    public string SiloName { get; set; } = null!;
}

/// <summary>How long callers wait.</summary>
public abstract class MessagingOptions
{
    /// <summary>
    /// After this a call ends in a <see cref="TimeoutException"/>; the request may still be carried out.
    /// </summary>
    public TimeSpan ResponseTimeout { get; set; } = TimeSpan.FromSeconds(30);
}

/// <summary>Calls made in a silo.</summary>
public class SiloMessagingOptions : MessagingOptions;

/// <summary>Calls made by a client process.</summary>
public class ClientMessagingOptions : MessagingOptions;

/// <summary>The cluster directory, through which the silos of one machine find and watch each other.</summary>
public class EmbeddedClusteringOptions
{
    /// <summary>
    /// A local directory that every silo and client of the cluster can write. It must not be on a network file system.
    /// </summary>
    public string Directory { get; set; } = "";

    /// <summary>How often the locks of the others are tried. The death of a process is seen within this.</summary>
    public TimeSpan LockPollInterval { get; set; } = TimeSpan.FromMilliseconds(100);

    /// <summary>How often every silo asks every other for a sign of life.</summary>
    public TimeSpan HeartbeatInterval { get; set; } = TimeSpan.FromMilliseconds(250);

    /// <summary>
    /// A silo that has been silent for this long, though its process lives, is declared dead and fences itself when it
    /// wakes.
    /// </summary>
    public TimeSpan DeadAfter { get; set; } = TimeSpan.FromSeconds(2);
}
