namespace Hotpot.Grains;

/// <summary>
/// The flat namespace: names to datasets, one activation in the cluster (<see cref="GrainKeys.Namespace"/>). It alone gives out dataset
/// ids, which are never reused, and base addresses, which never overlap.
/// </summary>
[Alias("hotpot.INamespaceGrain")]
public interface INamespaceGrain : IGrainWithStringKey
{
    /// <summary>
    /// Creates a dataset and opens it on every living node. Calling again with the same request id returns the dataset that
    /// the first call made, so a caller that lost the answer may simply ask again.
    /// </summary>
    [Alias("Create")]
    [ResponseTimeout(GrainTimeouts.Long)]
    Task<DatasetDescription> CreateAsync(CreateDatasetRequest request);

    /// <summary>Returns null when no dataset has this name.</summary>
    [AlwaysInterleave]
    [Alias("Find")]
    Task<DatasetDescription?> FindAsync(string name);

    /// <summary>All datasets, by name.</summary>
    [AlwaysInterleave]
    [Alias("List")]
    Task<DatasetDescription[]> ListAsync();

    /// <summary>Removes the dataset and its bytes on every node. False when no dataset has this name.</summary>
    [Alias("Remove")]
    [ResponseTimeout(GrainTimeouts.Long)]
    Task<bool> RemoveAsync(string name);
}

/// <summary>What a new dataset is to be.</summary>
[GenerateSerializer]
[Immutable]
[Alias("hotpot.CreateDatasetRequest")]
public sealed record CreateDatasetRequest
{
    /// <summary>Chosen by the caller; makes the request idempotent.</summary>
    [Id(0)] public required Guid RequestId { get; init; }

    [Id(1)] public required string Name { get; init; }

    /// <summary>Bytes; rounded up to whole pages.</summary>
    [Id(2)] public required long Size { get; init; }

    [Id(3)] public required int Degree { get; init; }

    [Id(4)] public int ChunkLog2 { get; init; } = Limits.DefaultChunkLog2;

    [Id(5)] public SharingMode Mode { get; init; } = SharingMode.MultiWriter;
}
