namespace Hotpot.Runtime;

/// <summary>The connection to a peer broke; what the peer did with the request is unknown.</summary>
[GenerateSerializer]
public sealed class PeerLostException(string message) : HotpotException(message)
{
    public override HotpotStatus Status => HotpotStatus.PeerLost;
}

/// <summary>A peer does not know the cluster key, or this node has none that is valid.</summary>
[GenerateSerializer]
public sealed class ClusterKeyException(string message) : HotpotException(message)
{
    public override HotpotStatus Status => HotpotStatus.ClusterKey;
}

/// <summary>The format on disk, the ABI or the wire version differs from what this build speaks.</summary>
[GenerateSerializer]
public sealed class VersionMismatchException(string message) : HotpotException(message)
{
    public override HotpotStatus Status => HotpotStatus.Version;
}

/// <summary>The node that the request is for is not among the living members.</summary>
[GenerateSerializer]
public sealed class NodeUnavailableException(string message) : HotpotException(message)
{
    public override HotpotStatus Status => HotpotStatus.NodeUnavailable;
}

/// <summary>The engine of this silo is shutting down.</summary>
[GenerateSerializer]
public sealed class EngineClosedException(string message) : HotpotException(message)
{
    public override HotpotStatus Status => HotpotStatus.Closed;
}
