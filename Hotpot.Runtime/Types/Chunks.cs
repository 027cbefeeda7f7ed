using System.Numerics;

namespace Hotpot.Runtime;

/// <summary>Whether the owner of a chunk may serve it (hp_chunk_phase).</summary>
public enum ChunkPhase
{
    Active = 0,

    /// <summary>The epoch is fenced, but the owner serves nothing until the same epoch is active.</summary>
    Recovering = 1,
}

/// <summary>One line of a chunk map: who owns a chunk, and who holds it, at one epoch.</summary>
[GenerateSerializer]
public sealed record ChunkEntry
{
    [Id(0)] public required ChunkIndex Chunk { get; init; }

    [Id(1)] public ChunkPhase Phase { get; init; }

    [Id(2)] public required Epoch Epoch { get; init; }

    /// <summary>The owner, also the first replica; <see cref="NodeId.None"/> when nobody can own the chunk now.</summary>
    [Id(3)] public required NodeId Owner { get; init; }

    /// <summary>Every node that receives the chunk's commits, the owner first; at most <see cref="Limits.MaxDegree"/>.</summary>
    [Id(4)] public required NodeId[] Replicas { get; init; }

    /// <summary>Bit i says that replica i receives commits but is still being synchronised, so it is not counted.</summary>
    [Id(5)] public uint JoiningMask { get; init; }

    /// <summary>How many replicas count towards the degree.</summary>
    public int CountedReplicas => Replicas.Length - BitOperations.PopCount(JoiningMask);

    public bool Holds(NodeId node) => Array.IndexOf(Replicas, node) >= 0;

    public bool IsJoining(NodeId node)
    {
        int index = Array.IndexOf(Replicas, node);
        return index >= 0 && (JoiningMask >> index & 1) != 0;
    }

    public bool Equals(ChunkEntry? other) =>
        other is not null && Chunk == other.Chunk && Phase == other.Phase && Epoch == other.Epoch && Owner == other.Owner
        && JoiningMask == other.JoiningMask && Replicas.AsSpan().SequenceEqual(other.Replicas);

    public override int GetHashCode() => HashCode.Combine(Chunk, Epoch, Phase, Owner);
}

/// <summary>What a node holds of one chunk (hp_chunk_state); recovery chooses the new owner from these.</summary>
[GenerateSerializer]
public readonly record struct ChunkState
{
    [Id(0)] public ChunkIndex Chunk { get; init; }

    /// <summary>The node holds a durable copy.</summary>
    [Id(1)] public bool Held { get; init; }

    /// <summary>That copy is synchronised.</summary>
    [Id(2)] public bool Complete { get; init; }

    /// <summary>Prepared and undecided transactions that touch the chunk.</summary>
    [Id(3)] public int Pending { get; init; }

    [Id(4)] public Epoch Epoch { get; init; }

    /// <summary>The highest commit applied.</summary>
    [Id(5)] public CommitSequence Sequence { get; init; }
}

/// <summary>How much one node used a chunk, as its owner counted (hp_chunk_use).</summary>
public readonly record struct ChunkUse
{
    public ChunkIndex Chunk { get; init; }

    /// <summary>The chunk's when this was read.</summary>
    public Epoch Epoch { get; init; }

    public NodeId Node { get; init; }

    /// <summary>Pages that the node fetched from the owner, or changed by its commits.</summary>
    public long Pages { get; init; }
}
