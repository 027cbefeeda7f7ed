using System.Numerics;

namespace Hotpot.Clients;

/// <summary>What is decided about a dataset when it is created, and never changes.</summary>
public sealed record DatasetOptions
{
    public static DatasetOptions Default { get; } = new();

    /// <summary>On how many nodes each committed byte is durable before a commit returns: 1 to 8.</summary>
    public int Degree { get; init; } = 1;

    /// <summary>The unit of ownership and replication: a power of two from 4 KiB to 1 GiB.</summary>
    public long ChunkBytes { get; init; } = 1L << Limits.DefaultChunkLog2;

    public SharingMode Mode { get; init; } = SharingMode.MultiWriter;

    internal int ChunkLog2
    {
        get
        {
            if (ChunkBytes <= 0 || !BitOperations.IsPow2(ChunkBytes)
                || BitOperations.Log2((ulong)ChunkBytes) is < Limits.MinChunkLog2 or > Limits.MaxChunkLog2)
                throw new InvalidRequestException(
                    $"A chunk of {ChunkBytes} bytes is not possible; choose a power of two from {1L << Limits.MinChunkLog2} to {1L << Limits.MaxChunkLog2}.");
            return BitOperations.Log2((ulong)ChunkBytes);
        }
    }
}

/// <summary>How a mapping may be used.</summary>
public enum MapAccess
{
    /// <summary>Loads only: stores are refused, and foreign commits cost this node nothing.</summary>
    ReadOnly = 0,

    ReadWrite = 1,
}

/// <summary>A dataset as the cluster sees it now.</summary>
public sealed record DatasetStatus
{
    public required DatasetDescription Description { get; init; }

    public required DatasetHealth Health { get; init; }

    /// <summary>What each node holds that answered.</summary>
    public required IReadOnlyList<NodeDatasetStatus> Nodes { get; init; }

    /// <summary>Members that did not answer.</summary>
    public required IReadOnlyList<NodeId> Unreachable { get; init; }
}
