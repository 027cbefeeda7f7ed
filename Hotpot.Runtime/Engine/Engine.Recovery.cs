using Hotpot.Runtime.Interop;

namespace Hotpot.Runtime;

// What the dataset grain asks of a node when the membership changes.
public sealed unsafe partial class Engine
{
    /// <summary>The states of all chunks of the dataset that this node holds.</summary>
    public ChunkState[] ChunkStates(DatasetId dataset) => NativeList.Read<(EngineHandle Engine, DatasetId Dataset), HpChunkState, ChunkState>(
        (_handle, dataset),
        static (of, first, count) => RecoveryInterop.ChunkStates(of.Engine, of.Dataset.Value, first, count),
        static state => state.ToManaged(),
        $"The chunks of dataset {dataset} could not be listed");

    /// <summary>Who used the chunks of the dataset that this node owns since the last call. One caller at a time.</summary>
    public ChunkUse[] TakeUsage(DatasetId dataset) => NativeList.Read<(EngineHandle Engine, DatasetId Dataset), HpChunkUse, ChunkUse>(
        (_handle, dataset),
        static (of, first, count) => RecoveryInterop.ChunkUsage(of.Engine, of.Dataset.Value, first, count),
        static use => use.ToManaged(),
        $"The uses of dataset {dataset} could not be listed");

    /// <summary>All participants of all transactions that are prepared and undecided on this node.</summary>
    public TransactionParticipant[] Pending() => NativeList.Read<EngineHandle, HpTransactionParticipant, TransactionParticipant>(
        _handle,
        static (engine, first, count) => RecoveryInterop.Pending(engine, first, count),
        static participant => participant.ToManaged(),
        "The pending transactions could not be listed");

    /// <summary>
    /// Blocking. What this node knows of a transaction's part on one chunk. What it answers, and what
    /// <paramref name="question"/> makes it promise, is durable before this returns.
    /// </summary>
    public TransactionOutcome Outcome(TransactionId transaction, DatasetId dataset, ChunkIndex chunk, OutcomeQuestion question)
    {
        uint outcome = 0;
        NativeStatus.Check(
            RecoveryInterop.Outcome(_handle, HpTransactionId.From(transaction), dataset.Value, chunk.Value, (uint)question, &outcome),
            $"The outcome of transaction {transaction} is not known");
        return (TransactionOutcome)outcome;
    }

    /// <inheritdoc cref="Outcome"/>
    public Task<TransactionOutcome> OutcomeAsync(
        TransactionId transaction, DatasetId dataset, ChunkIndex chunk, OutcomeQuestion question, CancellationToken cancellationToken = default) =>
        Task.Run(() => Outcome(transaction, dataset, chunk, question), cancellationToken);

    /// <summary>Blocking. Decides a pending transaction on this node alone: applies or drops it, durably; idempotent.</summary>
    public void Settle(TransactionId transaction, bool commit)
    {
        HpError error = default;
        NativeStatus.Check(
            RecoveryInterop.Settle(_handle, HpTransactionId.From(transaction), commit ? 1u : 0u, &error),
            error, $"Transaction {transaction} was not settled");
    }

    /// <inheritdoc cref="Settle"/>
    public Task SettleAsync(TransactionId transaction, bool commit, CancellationToken cancellationToken = default) =>
        Task.Run(() => Settle(transaction, commit), cancellationToken);

    /// <summary>
    /// Makes this node's copy of the chunk equal to that of <paramref name="source"/>, a complete replica, durably. The
    /// completion's value is the number of pages copied.
    /// </summary>
    public ValueTask<Completion> SyncChunkAsync(DatasetId dataset, ChunkIndex chunk, NodeId source)
    {
        PendingOperation? operation = Rent();
        if (operation is null)
            return Closed();
        ValueTask<Completion> task = operation.Task;
        int status = RecoveryInterop.SyncChunk(_handle, dataset.Value, chunk.Value, source.Value, operation.Token);
        return Started(operation, task, status, null);
    }
}
