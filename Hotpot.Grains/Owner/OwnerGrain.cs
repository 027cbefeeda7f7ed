using Hotpot.Grains.Acquire;
using Hotpot.Grains.Node;
using Hotpot.Grains.Placement;

namespace Hotpot.Grains.Owner;

/// <summary>
/// The commit phases and grants of the chunks that this node owns in one dataset. Reentrant: a prepare waits in the engine for locked pages while
/// the commit that unlocks them comes through this same grain. Nothing is kept here; the engine and the node hold all state.
/// </summary>
[Reentrant]
[OnNode]
internal sealed class OwnerGrain : Grain, IOwnerGrain
{
    private readonly INodeEngine _engine;
    private readonly DatasetRegistry _datasets;
    private readonly OwnerCommits _commits;
    private readonly DatasetId _dataset;

    public OwnerGrain(INodeEngine engine, DatasetRegistry datasets, OwnerCommits commits)
    {
        _engine = engine;
        _datasets = datasets;
        _commits = commits;
        (_dataset, NodeId node) = GrainKeys.ParseOwner(this.GetPrimaryKeyString());
        // A misplaced activation would prepare on the wrong engine; the commit node then asks again by the new map.
        if (node != engine.Identity.Node)
            throw new NodeUnavailableException($"Node {node} was looked for on node {engine.Identity.Node}; try again when the membership has settled.");
    }

    public Task<PhaseResult> PrepareAsync(PrepareRequest request) => _commits.PrepareAsync(_dataset, request).AsTask();

    public Task<PhaseResult> CommitAsync(PrepareRequest request) => _commits.CommitAsync(_dataset, request).AsTask();

    public Task<PhaseResult> CommitPreparedAsync(TransactionId transaction) => _commits.CommitPreparedAsync(_dataset, transaction).AsTask();

    public Task<PhaseResult> AbortAsync(TransactionId transaction) => _commits.AbortAsync(_dataset, transaction).AsTask();

    public async Task<OutcomeReport> GetOutcomeAsync(TransactionId transaction, ChunkIndex chunk)
    {
        // A new life of this node that has not joined yet, or one that lost the chunk, must not refuse in the owner's name.
        ChunkEntry? entry = _datasets.Get(_dataset).Map.Find(chunk);
        NodeId self = _engine.Identity.Node;
        if (entry?.Owner != self)
            throw new NotOwnerException($"Node {self} does not own chunk {chunk} of dataset {_dataset} now; fetch the new map and ask its owner.");
        if (entry.Phase != ChunkPhase.Active)
            throw new BusyException($"Chunk {chunk} of dataset {_dataset} is recovering; try again shortly.");
        TransactionOutcome outcome = await _engine.OutcomeAsync(transaction, _dataset, chunk, OutcomeQuestion.End);
        // Known before every sharer shows it.
        if (outcome != TransactionOutcome.Prepared)
            _datasets.Get(_dataset).Owned.EndCommitWhenGone(transaction);
        return new OutcomeReport
        {
            Outcome = outcome == TransactionOutcome.Unknown ? TransactionOutcome.Aborted : outcome,
            Degree = entry.CountedReplicas,
        };
    }

    public Task ForgetAsync(TransactionId transaction)
    {
        _engine.Forget(transaction, _dataset);
        return Task.CompletedTask;
    }

    public Task AcquireAsync(AcquireRequest request, CancellationToken cancellationToken = default) =>
        _datasets.Get(_dataset).Owned.AcquireAsync(request, cancellationToken);

    public Task<bool> ReleaseAsync(GrantHolder holder, ByteRange range, ulong upToTicket) =>
        Task.FromResult(_datasets.Get(_dataset).Owned.Release(holder, range, upToTicket));

    public Task HolderDiedAsync(NodeId node, Incarnation incarnation)
    {
        _datasets.Get(_dataset).Owned.HolderDied(node, incarnation);
        return Task.CompletedTask;
    }

    public Task<GrantInfo[]> ListGrantsAsync() => Task.FromResult(_datasets.Get(_dataset).Owned.List());
}
