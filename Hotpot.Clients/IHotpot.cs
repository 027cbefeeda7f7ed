namespace Hotpot.Clients;

/// <summary>
/// Hotpot, as application code sees it. In a silo it is registered by AddHotpot and everything works; in any other process,
/// registered by AddHotpotClient, everything works that needs no mapping. Safe for concurrent use.
/// </summary>
public interface IHotpot
{
    /// <summary>True when this process runs a silo, so that datasets can be mapped, committed and acquired in it.</summary>
    bool HasSilo { get; }

    /// <summary>Creates a dataset of zeros and opens it on every living node.</summary>
    /// <param name="name">1 to 255 bytes of UTF-8, unique in the cluster.</param>
    /// <param name="size">Bytes; rounded up to whole pages.</param>
    /// <exception cref="DatasetExistsException">The name is taken.</exception>
    /// <exception cref="InvalidDatasetNameException">The name is empty, too long, or has control characters.</exception>
    Task<Dataset> CreateDatasetAsync(
        string name, long size, DatasetOptions? options = null, CancellationToken cancellationToken = default);

    /// <exception cref="DatasetNotFoundException">There is none of this name.</exception>
    Task<Dataset> OpenAsync(string name, CancellationToken cancellationToken = default);

    /// <summary>All datasets, by name.</summary>
    Task<IReadOnlyList<DatasetDescription>> ListAsync(CancellationToken cancellationToken = default);

    /// <inheritdoc cref="Dataset.StatAsync"/>
    Task<DatasetStatus> StatAsync(string name, CancellationToken cancellationToken = default);

    /// <summary>Removes the dataset and its bytes on every node, for ever.</summary>
    /// <exception cref="DatasetNotFoundException">There is none of this name.</exception>
    Task RemoveAsync(string name, CancellationToken cancellationToken = default);

    /// <summary>
    /// Commits the stores of several datasets as one transaction: after a failure either all of it is there, or none.
    /// </summary>
    /// <inheritdoc cref="Dataset.CommitAsync(CommitOptions?, CancellationToken)" path="/exception"/>
    Task<CommitResult> CommitAsync(
        IReadOnlyList<Dataset> datasets, CommitOptions? options = null, CancellationToken cancellationToken = default);

    /// <summary>
    /// One participant of a named barrier. Each object counts as one participant, so keep it between generations.
    /// </summary>
    DistributedBarrier Barrier(string name, int participants);
}
