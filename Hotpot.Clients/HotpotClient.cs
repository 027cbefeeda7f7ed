using Hotpot.Grains.Commit;
using Hotpot.Grains.Node;

namespace Hotpot.Clients;

/// <summary>The one implementation; without a node it is the client of a process that runs no silo.</summary>
internal sealed class HotpotClient(IGrainFactory grains, IHotpotNode? node) : IHotpot
{
    public bool HasSilo => node is not null;

    public async Task<Dataset> CreateDatasetAsync(
        string name, long size, DatasetOptions? options = null, CancellationToken cancellationToken = default)
    {
        options ??= DatasetOptions.Default;
        CreateDatasetRequest request = new()
        {
            RequestId = Guid.NewGuid(),
            Name = name,
            Size = size,
            Degree = options.Degree,
            ChunkLog2 = options.ChunkLog2,
            Mode = options.Mode,
        };
        DatasetDescription description = await TransientFailures.RetryAsync(
            () => grains.NamespaceGrain().CreateAsync(request), cancellationToken);
        return await OpenDescribedAsync(description, cancellationToken);
    }

    public async Task<Dataset> OpenAsync(string name, CancellationToken cancellationToken = default)
    {
        if (node is not null)
            return new Dataset(await node.OpenAsync(name, cancellationToken), grains, node);
        return new Dataset(await FindAsync(name, cancellationToken), grains, null);
    }

    public async Task<IReadOnlyList<DatasetDescription>> ListAsync(CancellationToken cancellationToken = default) =>
        await TransientFailures.RetryAsync(() => grains.NamespaceGrain().ListAsync(), cancellationToken);

    public async Task<DatasetStatus> StatAsync(string name, CancellationToken cancellationToken = default) =>
        await new Dataset(await FindAsync(name, cancellationToken), grains, node).StatAsync(cancellationToken);

    public async Task RemoveAsync(string name, CancellationToken cancellationToken = default)
    {
        // Not retried: when the answer is lost, a second call could not tell "removed now" from "never there".
        if (!await grains.NamespaceGrain().RemoveAsync(name).WaitAsync(cancellationToken))
            throw DatasetNotFoundException.Named(name);
    }

    public async Task<CommitResult> CommitAsync(
        IReadOnlyList<Dataset> datasets, CommitOptions? options = null, CancellationToken cancellationToken = default)
    {
        if (node is null)
            throw new NoSiloHereException("A commit of stores needs the mapping of a silo, and this process runs none; use WriteAsync.");
        CommitScope[] scopes = [.. datasets.Select(dataset => new CommitScope(dataset.Description, []))];
        return await node.Committer.CommitAsync(scopes, options ?? CommitOptions.Default, cancellationToken);
    }

    public DistributedBarrier Barrier(string name, int participants) =>
        new(grains.GetGrain<IBarrierGrain>(name), name, participants, node?.Identity.Node ?? NodeId.None);

    private async Task<DatasetDescription> FindAsync(string name, CancellationToken cancellationToken) =>
        await TransientFailures.RetryAsync(() => grains.NamespaceGrain().FindAsync(name), cancellationToken)
        ?? throw DatasetNotFoundException.Named(name);

    private async Task<Dataset> OpenDescribedAsync(DatasetDescription description, CancellationToken cancellationToken)
    {
        if (node is not null)
            await node.OpenAsync(description.Id, cancellationToken);
        return new Dataset(description, grains, node);
    }
}
