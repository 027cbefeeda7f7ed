using Hotpot.Runtime.Interop;

namespace Hotpot.Runtime;

// The owner's half of a commit. All of these are idempotent, so a caller that lost an answer asks again. A call may keep the thread a millisecond and
// return a task that is complete already: that is cheaper than to wake another one (lead.cpp).
public sealed unsafe partial class Engine
{
    /// <summary>Begins a transaction of this node; dispose it when the commit is over.</summary>
    public Transaction CreateTransaction() => Transaction.Create(this);

    /// <summary>
    /// Locks the pages staged here, waiting in line for at most <paramref name="timeout"/>, and logs the record here and on
    /// every replica. Busy, Conflict, Degree, Refused, NotFound, StaleEpoch, DiskFull and Poisoned are its ordinary failures.
    /// </summary>
    public ValueTask<Completion> PrepareAsync(
        TransactionId transaction, DatasetId dataset, bool failOnConflict, int minimumDegree, TimeSpan timeout)
    {
        PendingOperation? operation = Rent();
        if (operation is null)
            return Closed();
        ValueTask<Completion> task = operation.Task;
        HpCompletion now;
        int status = OwnerInterop.Prepare(
            _handle, HpTransactionId.From(transaction), dataset.Value, failOnConflict ? OwnerInterop.PrepareFailOnConflict : 0,
            checked((uint)minimumDegree), Milliseconds(timeout), operation.Token, &now);
        return Started(operation, task, status, null, now);
    }

    /// <summary>The pages that a transaction changes on this node as their owner, ascending, neighbours in one; none when it is not known here (any more).</summary>
    public unsafe ByteRange[] StagedPages(TransactionId transaction, DatasetId dataset) => NativeList.Read<(EngineHandle Engine, TransactionId Transaction, DatasetId Dataset), ByteRange, ByteRange>(
        (_handle, transaction, dataset),
        static (of, first, count) => OwnerInterop.Pages(of.Engine, HpTransactionId.From(of.Transaction), of.Dataset.Value, first, count),
        static range => range,
        $"The pages of transaction {transaction} could not be listed");

    /// <summary>
    /// Applies a prepared transaction here and everywhere its pages are held. Completes when every sharer shows it, with
    /// the number of nodes that hold it durably.
    /// </summary>
    public ValueTask<Completion> CommitAsync(TransactionId transaction, DatasetId dataset)
    {
        PendingOperation? operation = Rent();
        if (operation is null)
            return Closed();
        ValueTask<Completion> task = operation.Task;
        HpCompletion now;
        int status = OwnerInterop.Commit(_handle, HpTransactionId.From(transaction), dataset.Value, operation.Token, &now);
        return Started(operation, task, status, null, now);
    }

    /// <summary>Forgets a staged or prepared transaction and refuses it for ever; Invalid if it has committed already.</summary>
    public ValueTask<Completion> AbortAsync(TransactionId transaction, DatasetId dataset)
    {
        PendingOperation? operation = Rent();
        if (operation is null)
            return Closed();
        ValueTask<Completion> task = operation.Task;
        HpCompletion now;
        int status = OwnerInterop.Abort(_handle, HpTransactionId.From(transaction), dataset.Value, operation.Token, &now);
        return Started(operation, task, status, null, now);
    }

    /// <summary>
    /// Other nodes' commits to the chunk need not ask for grants from now on: nobody has one or wants one, and none is given before <see cref="CloseGates"/>.
    /// False: the chunk has had another configuration since.
    /// </summary>
    public bool OpenGate(DatasetId dataset, ChunkIndex chunk, Epoch epoch)
    {
        int status = OwnerInterop.OpenGate(_handle, dataset.Value, (uint)chunk.Value, epoch.Value);
        if (status is (int)HotpotStatus.StaleEpoch or (int)HotpotStatus.NotFound)
            return false;
        NativeStatus.Check(status, $"The gate of chunk {chunk} of dataset {dataset} was not opened");
        return true;
    }

    /// <summary>For all chunks of the dataset. Returns the commits that did not ask and are not shown everywhere yet; no grant may be given before it is 0.</summary>
    public int CloseGates(DatasetId dataset)
    {
        uint underWay = 0;
        int status = OwnerInterop.CloseGates(_handle, dataset.Value, &underWay);
        if (status != (int)HotpotStatus.NotFound)
            NativeStatus.Check(status, $"The gates of dataset {dataset} were not closed");
        return checked((int)underWay);
    }

    /// <summary>Every participant has committed: the outcome need not be remembered any longer.</summary>
    public void Forget(TransactionId transaction, DatasetId dataset)
    {
        int status = OwnerInterop.Forget(_handle, HpTransactionId.From(transaction), dataset.Value);
        if (status != (int)HotpotStatus.NotFound)
            NativeStatus.Check(status, $"Transaction {transaction} was not forgotten");
    }
}
