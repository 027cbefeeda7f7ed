using Hotpot.Grains.Commit;
using Hotpot.Grains.Node;

namespace Hotpot.Clients;

/// <summary>The one implementation; without a node it is the client of a process that runs no silo.</summary>
internal sealed class HotpotClient(IGrainFactory grains, IHotpotNode? node) : IHotpot
{
    private const int MinGatesBound = 64;

    // Both are written under the lock of the first. What nobody holds any more is thrown out when as many again have come.
    private readonly Dictionary<(string Name, int Participants), WeakReference<BarrierGate>> _gates = [];
    private int _gatesBound = MinGatesBound;

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

    public DistributedBarrier Barrier(string name, int participants)
    {
        if (string.IsNullOrEmpty(name))
            throw new InvalidRequestException("A barrier's name must not be empty; give one that its participants share.");
        if (participants < 1)
            throw new InvalidRequestException($"A barrier of {participants} participants is not possible; give at least 1.");
        return new DistributedBarrier(Gate(name, participants), name);
    }

    // One gate for all who meet at a barrier, for as long as one of them is there.
    private BarrierGate Gate(string name, int participants)
    {
        lock (_gates)
        {
            if (_gates.TryGetValue((name, participants), out WeakReference<BarrierGate>? known) && known.TryGetTarget(out BarrierGate? gate))
                return gate;
            if (_gates.Count >= _gatesBound)
            {
                foreach (var (barrier, entry) in _gates)
                {
                    if (!entry.TryGetTarget(out _))
                        _gates.Remove(barrier);
                }
                _gatesBound = Math.Max(MinGatesBound, 2 * _gates.Count);
            }
            gate = new BarrierGate(grains.GetGrain<IBarrierGrain>(name), participants, node?.Identity.Node ?? NodeId.None);
            _gates[(name, participants)] = new WeakReference<BarrierGate>(gate);
            return gate;
        }
    }

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
