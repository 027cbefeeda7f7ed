namespace Hotpot.Grains;

/// <summary>
/// The configuration authority of one dataset: chunk -> (owner, replicas, joining, epoch, phase). Every change is stored with an ETag
/// before it is installed, and installed on every member before the call that caused it returns.
/// </summary>
[Alias("hotpot.IDatasetGrain")]
public interface IDatasetGrain : IGrainWithStringKey
{
    /// <summary>Called by the namespace grain at create; opens the dataset on every living node. Idempotent.</summary>
    [Alias("Initialize")]
    [ResponseTimeout(GrainTimeouts.Long)]
    Task InitializeAsync(DatasetDescription description);

    /// <summary>Removes the dataset on every member; afterwards every call but this one fails. Idempotent.</summary>
    [Alias("Drop")]
    [ResponseTimeout(GrainTimeouts.Long)]
    Task DropAsync();

    /// <summary>
    /// Gives each chunk that has no configuration yet the committing node as its owner and other members as replicas. Returns the
    /// entries of all chunks named. Throws <see cref="DegreeException"/> when fewer than <paramref name="minDegree"/> members live.
    /// </summary>
    [Alias("Assign")]
    [ResponseTimeout(GrainTimeouts.Long)]
    Task<ChunkEntry[]> AssignAsync(ChunkIndex[] chunks, NodeId committingNode, int minDegree);

    /// <summary>The entries that changed after a version, from a chunk on, at most <see cref="ChunkMapPage.MaxEntries"/> of them.</summary>
    [AlwaysInterleave]
    [Alias("GetMap")]
    Task<ChunkMapPage> GetMapAsync(ulong sinceVersion, ChunkIndex from);

    /// <summary>The entries of these chunks; a chunk that is not assigned is left out.</summary>
    [AlwaysInterleave]
    [Alias("GetEntries")]
    Task<ChunkEntry[]> GetEntriesAsync(ChunkIndex[] chunks);

    /// <summary>
    /// A node opened the dataset: it becomes a member, and its map is complete when this returns. A larger incarnation than the
    /// one known is the death of the earlier one. Idempotent.
    /// </summary>
    [Alias("NodeJoined")]
    [ResponseTimeout(GrainTimeouts.Long)]
    Task NodeJoinedAsync(DatasetDescription description, NodeIdentity node);

    /// <summary>An incarnation of a node is dead: fences every chunk it held. Every survivor calls this. Idempotent.</summary>
    [Alias("NodeDied")]
    [ResponseTimeout(GrainTimeouts.Long)]
    Task NodeDiedAsync(NodeId node, Incarnation incarnation);

    /// <summary>A node is about to leave: its chunks go to other replicas, as far as there are any. Idempotent.</summary>
    [Alias("HandOver")]
    [ResponseTimeout(GrainTimeouts.Long)]
    Task HandOverAsync(NodeId node, Incarnation incarnation);

    /// <summary>Owners ask that chunks go to the nodes that use them most. What has changed since they counted stays as it is.</summary>
    [Alias("Migrate")]
    [ResponseTimeout(GrainTimeouts.Long)]
    Task MigrateAsync(ChunkMigration[] wanted);

    /// <summary>
    /// Does one bounded slice of what is outstanding (settle, synchronise, activate, restore the degree) and says what is left.
    /// Nodes call it until nothing is; the grain itself keeps no timer, so a crash of its silo stops nothing.
    /// </summary>
    [Alias("Maintain")]
    [ResponseTimeout(GrainTimeouts.Long)]
    Task<DatasetHealth> MaintainAsync();

    [AlwaysInterleave]
    [Alias("GetHealth")]
    Task<DatasetHealth> GetHealthAsync();
}

/// <summary>A part of a chunk map.</summary>
[GenerateSerializer]
[Immutable]
[Alias("hotpot.ChunkMapPage")]
public sealed record ChunkMapPage
{
    /// <summary>At the worst, with no two chunks alike, 4096 entries of about 20 bytes: well below the actor hosts' limit for one message.</summary>
    public const int MaxEntries = 4096;

    /// <summary>The version of the map that the page was taken from.</summary>
    [Id(0)] public required ulong Version { get; init; }

    [Id(1)] public required PackedEntries Entries { get; init; }

    /// <summary>Where to go on; null when this was the last page.</summary>
    [Id(2)] public ChunkIndex? Next { get; init; }
}

/// <summary>How far a dataset is from its full degree.</summary>
[GenerateSerializer]
[Immutable]
[Alias("hotpot.DatasetHealth")]
public sealed record DatasetHealth
{
    [Id(0)] public ulong MapVersion { get; init; }

    /// <summary>Chunks of the dataset, and how many of them have an owner or a history.</summary>
    [Id(1)] public uint Chunks { get; init; }

    [Id(2)] public uint Assigned { get; init; }

    /// <summary>Fenced, and not yet served again.</summary>
    [Id(3)] public uint Recovering { get; init; }

    /// <summary>Of those, the ones that wait for a node that is not here: nothing can be done before it returns.</summary>
    [Id(4)] public uint Waiting { get; init; }

    /// <summary>Replicas that are being synchronised.</summary>
    [Id(5)] public uint Joining { get; init; }

    /// <summary>Counted replicas short of the degree, summed over the chunks.</summary>
    [Id(6)] public uint ReplicasMissing { get; init; }

    /// <summary>Nodes that have the dataset open.</summary>
    [Id(7)] public NodeId[] Members { get; init; } = [];

    /// <summary>Another slice would get further now.</summary>
    [Id(8)] public bool WorkLeft { get; init; }
}

/// <summary>A wish of a chunk's owner: another node uses the chunk most and should own it.</summary>
[GenerateSerializer]
[Immutable]
[Alias("hotpot.ChunkMigration")]
public readonly record struct ChunkMigration
{
    [Id(0)] public required ChunkIndex Chunk { get; init; }

    /// <summary>The chunk's when the owner counted; a chunk that has changed since stays as it is.</summary>
    [Id(1)] public required Epoch Epoch { get; init; }

    [Id(2)] public required NodeId To { get; init; }
}
