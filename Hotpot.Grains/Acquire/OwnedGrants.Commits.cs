using System.Runtime.CompilerServices;

namespace Hotpot.Grains.Acquire;

// What a commit owes to grants. It enters the table before the engine locks its pages and leaves it when it has been applied everywhere or can never be.
//
//   SingleWriter   the commit node must hold every declared range exclusively
//   MultiWriter    anybody commits, but not to pages under another's grant, nor under any Shared one: such a commit waits in line with the requests, the
//                  grants are recalled, and after a time it is told Busy, gives its pages back at the other owners, and is repeated by its commit node
//
// The commit node bounds the wait (PrepareRequest.GrantTimeout), and keeps it short where the transaction holds pages at other owners already: a commit over two
// owners that waits here may itself be what a reader waits for there, and the bound ends that circle. Most datasets have no grants; then a commit
// waits for nothing, is entered by its chunks, and its pages are not looked at.
//
// The end: an owner's completed commit or abort (EndCommit). Who learns the end in another way (a question about the outcome, recovery, the death of the commit node)
// may be earlier than the sharers, so then the entry stays until the engine has forgotten the transaction (EndCommitWhenGone).
//
// Potential weakness: a commit over several owners that meets grants at its second owner waits only shortly in that line and begins anew; readers who
// take turns there without a gap, each for longer, can keep it out until its time-out.
internal sealed partial class OwnedGrants
{
    private static readonly TimeSpan FirstLook = TimeSpan.FromMilliseconds(10);
    private static readonly TimeSpan LongestLook = TimeSpan.FromMilliseconds(250);

    // Commits whose end nobody will tell: a task looks for it. Written under _lock.
    private readonly HashSet<TransactionId> _watched = [];

    /// <summary>Null: the commit is under way, until <see cref="EndCommit"/>.</summary>
    /// <param name="chunks">The chunks that it changes here.</param>
    /// <param name="declared">In a single-writer dataset: the ranges it stays inside, of those chunks.</param>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    public async ValueTask<PhaseResult?> BeginCommitAsync(
        TransactionId transaction, IReadOnlyList<ByteRange> chunks, IReadOnlyList<ByteRange> declared, TimeSpan timeout)
    {
        try
        {
            return await WaitForTurnAsync(transaction, dataset.Mode == SharingMode.SingleWriter ? declared : chunks, timeout);
        }
        catch (HotpotException error)
        {
            return PhaseResult.Failed(error.Status, error.Message);
        }
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<PhaseResult?> WaitForTurnAsync(TransactionId transaction, IReadOnlyList<ByteRange> ranges, TimeSpan timeout)
    {
        TaskCompletionSource turn = new(TaskCreationOptions.RunContinuationsAsynchronously);
        RangeLockTable.Commit commit = Enter(transaction, ranges, areExact: dataset.Mode == SharingMode.SingleWriter, turn, out bool begun)
            ?? Enter(transaction, engine.StagedPages(transaction, dataset.Id), areExact: true, turn, out begun)!;
        if (begun)
            return null;
        try
        {
            await turn.Task.WaitAsync(timeout, time, lifetime.Ending);
            return null;
        }
        catch (Exception error) when (error is TimeoutException or OperationCanceledException)
        {
            if (TryWithdraw(commit))
                return error is OperationCanceledException ? throw lifetime.Refusal() : PhaseResult.Failed(
                    HotpotStatus.Busy, $"Pages of dataset '{dataset.Name}' are under a grant; the commit waits for its release. If it is this node's own shared one, upgrade it first.");
            await turn.Task;
            return null;
        }
    }

    /// <summary>Into the table or its queue. Null: nothing was entered, because something is there that may or may not touch the pages.</summary>
    /// <param name="areExact">False: the ranges are whole chunks, good enough where nothing else is.</param>
    private RangeLockTable.Commit? Enter(TransactionId transaction, IReadOnlyList<ByteRange> ranges, bool areExact, TaskCompletionSource turn, out bool begun)
    {
        GrantHolder holder = new() { Node = transaction.Node, Incarnation = transaction.Incarnation };
        lock (_lock)
        {
            ulong stamp = CheckServed(ranges);
            CheckAlive(holder);
            if (dataset.Mode == SharingMode.SingleWriter && !HoldsExclusively(holder, ranges))
                throw new NotAcquiredException(
                    $"Dataset '{dataset.Name}' has a single writer and node {holder.Node} does not hold the grant for its pages any more; acquire them again and repeat the commit.");
            begun = false;
            if (!areExact && _table.IsAnythingAt(ranges))
                return null;
            RangeLockTable.Commit commit = new(transaction, holder, ranges, stamp, turn.SetResult, error => turn.SetException(error));
            begun = _table.BeginCommit(commit);
            RecallWhatBlocks();
            return commit;
        }
    }

    private bool HoldsExclusively(GrantHolder holder, IReadOnlyList<ByteRange> ranges)
    {
        for (int i = 0; i < ranges.Count; i++)
        {
            if (!_table.HoldsExclusively(holder, ranges[i]))
                return false;
        }
        return ranges.Count > 0;
    }

    /// <summary>The transaction has ended here. Idempotent.</summary>
    public void EndCommit(TransactionId transaction)
    {
        lock (_lock)
        {
            Prune();
            RangeLockTable.Commit? ended = _table.EndCommit(transaction);
            RecallWhatBlocks();
            if (ended is not null)
                OpenGates(ended.Ranges);
        }
    }

    /// <summary>The transaction is decided; its entry goes when the engine is through with it, which is when every sharer shows it. Idempotent.</summary>
    public void EndCommitWhenGone(TransactionId transaction)
    {
        lock (_lock)
        {
            if (_table.IsUnderWay(transaction))
                Watch(transaction);
        }
    }

    // Under _lock.
    private void Watch(TransactionId transaction)
    {
        if (_watched.Add(transaction))
            _ = WatchAsync(transaction);
    }

    // Detached: it ends when the engine has forgotten the transaction, which recovery sees to.
    private async Task WatchAsync(TransactionId transaction)
    {
        await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
        try
        {
            for (TimeSpan pause = FirstLook; engine.StagedPages(transaction, dataset.Id).Length > 0; pause = pause * 2 < LongestLook ? pause * 2 : LongestLook)
                await Task.Delay(pause, time, lifetime.Ending);
            EndCommit(transaction);
        }
        catch (Exception error) when (error is EngineClosedException || (error is OperationCanceledException && lifetime.Ending.IsCancellationRequested))
        {
            LogEnded(error, dataset.Name);
        }
        finally
        {
            lock (_lock)
                _watched.Remove(transaction);
        }
    }
}
