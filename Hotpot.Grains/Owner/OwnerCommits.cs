using System.Runtime.CompilerServices;
using Hotpot.Grains.Acquire;
using Hotpot.Grains.Node;

namespace Hotpot.Grains.Owner;

/// <summary>
/// The commit phases at this node as the owner of chunks. The owner grain does them for commits of other nodes; a commit of this node does them without
/// a call to the grain, which would decide the same and cost several times what the phases do.
/// </summary>
internal sealed class OwnerCommits(INodeEngine engine, DatasetRegistry datasets)
{
    /// <inheritdoc cref="IOwnerGrain.PrepareAsync"/>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    public async ValueTask<PhaseResult> PrepareAsync(DatasetId dataset, PrepareRequest request)
    {
        if (await BeginAsync(dataset, request) is { } refusal)
            return refusal;
        PhaseResult prepared = ToResult(
            await engine.PrepareAsync(request.Transaction, dataset, request.FailOnConflict, request.MinDegree, request.LockTimeout),
            "Preparing", request.Transaction);
        // A transaction that was not prepared will not be: what failed here is refused for ever.
        if (!prepared.IsOk)
            End(dataset, request.Transaction);
        return prepared;
    }

    /// <summary>Null: no grant is in the way, and none is given until <see cref="End"/>.</summary>
    public ValueTask<PhaseResult?> BeginAsync(DatasetId dataset, PrepareRequest request) =>
        datasets.Get(dataset).Owned.BeginCommitAsync(request.Transaction, request.Chunks, request.Ranges, request.GrantTimeout);

    /// <summary>What has ended, or was never prepared, stands in no grant's way any more. Idempotent.</summary>
    public void End(DatasetId dataset, TransactionId transaction) => datasets.Get(dataset).Owned.EndCommit(transaction);

    /// <inheritdoc cref="IOwnerGrain.CommitAsync"/>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    public async ValueTask<PhaseResult> CommitAsync(DatasetId dataset, PrepareRequest request)
    {
        PhaseResult prepared = await PrepareAsync(dataset, request);
        if (!prepared.IsOk)
            return prepared;
        PhaseResult committed = await CommitPreparedAsync(dataset, request.Transaction);
        return committed.IsOk ? committed : committed with { FailedAfterPrepare = true };
    }

    /// <inheritdoc cref="IOwnerGrain.CommitPreparedAsync"/>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    public async ValueTask<PhaseResult> CommitPreparedAsync(DatasetId dataset, TransactionId transaction) =>
        Ended(dataset, transaction, ToResult(await engine.CommitAsync(transaction, dataset), "Committing", transaction));

    /// <inheritdoc cref="IOwnerGrain.AbortAsync"/>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    public async ValueTask<PhaseResult> AbortAsync(DatasetId dataset, TransactionId transaction) =>
        Ended(dataset, transaction, ToResult(await engine.AbortAsync(transaction, dataset), "Aborting", transaction));

    private PhaseResult Ended(DatasetId dataset, TransactionId transaction, PhaseResult result)
    {
        if (result.IsOk)
            End(dataset, transaction);
        return result;
    }

    internal static PhaseResult ToResult(Completion completion, string doing, TransactionId transaction) => completion.Succeeded
        ? PhaseResult.Done(completion.Degree)
        : PhaseResult.Failed(completion.Status, completion.ToException($"{doing} transaction {transaction} failed").Message, completion.Degree);
}
