using Microsoft.Extensions.Logging;
using Hotpot.Grains.Node;

namespace Hotpot.Grains.Acquire;

/// <summary>What an owner asks of other nodes about grants.</summary>
internal interface IGrantHolders
{
    /// <summary>Asks a holder's node to give a grant back; true when it did, or has no life left that could hold it.</summary>
    Task<bool> RecallAsync(NodeId holder, DatasetId dataset, ByteRange range);

    /// <summary>The grants that every node that lives says it holds in the ranges, in use or kept. Returns only when each has answered or is dead.</summary>
    Task<GrantInfo[]> ListHeldAsync(DatasetId dataset, ByteRange[] ranges, CancellationToken cancellationToken);
}

// The grants of the chunks that this node owns in one dataset. It belongs to the node, not to the activation of the owner grain, so that
// the collection of an idle activation forgets no grant. Safe for concurrent use: everything but calls to other nodes happens under one lock, which
// is never held across a wait. No call of it waits for the dataset grain, which may be waiting for this node.
//
// What runs detached (recalls, the census, the watch of commits whose end nobody tells) ends by itself, or when this node ends. So does who waits in line: by then the chunks are
// handed over, and no recall looks any more whether they are.
//
// This file: acquire, release, recall. Beside it: Census (taking over from an earlier owner), Commits (what a commit owes to grants) and Gates (which
// commits need not ask).
internal sealed partial class OwnedGrants(
    DatasetDescription dataset, INodeEngine engine, LocalChunkMap map, IGrantHolders holders, NodeLifetime lifetime, TimeProvider time, ILogger logger)
{
    /// <summary>Between two recalls of one grant. A holder that uses it sends it back by itself; this is for the one whose release was lost.</summary>
    private static readonly TimeSpan RecallRetry = TimeSpan.FromMilliseconds(250);

    private readonly NodeId _self = engine.Identity.Node;
    private readonly Lock _lock = new();
    private readonly RangeLockTable _table = new();

    // The stamp of the map that the table was last pruned by. Written under _lock.
    private ulong _prunedAt;

    // Grants that are being recalled: something waits for them, and a task of RecallAsync asks for them. Written under _lock.
    private readonly HashSet<RangeLockTable.Grant> _recalled = new(ReferenceEqualityComparer.Instance);

    public async Task AcquireAsync(AcquireRequest asked, CancellationToken cancellationToken)
    {
        asked.Range.CheckInside(dataset.Size, dataset.Name);
        if (asked.Range.IsEmpty)
            throw new InvalidRequestException("An empty range cannot be acquired; give at least one byte.");
        if (asked is { IsUpgrade: true, Mode: not AcquireMode.Exclusive })
            throw new InvalidRequestException("An upgrade is to Exclusive; a grant is not turned into a weaker one.");
        TaskCompletionSource turn = new(TaskCreationOptions.RunContinuationsAsynchronously);
        RangeLockTable.Request request;
        lock (_lock)
        {
            ulong stamp = CheckServed([asked.Range]);
            CheckAlive(asked.Holder);
            CloseGates();
            request = new RangeLockTable.Request(
                asked.Holder, asked.Range, asked.Mode, stamp, turn.SetResult, error => turn.SetException(error), asked.Ticket, asked.IsUpgrade);
            bool granted = _table.Acquire(request);
            RecallWhatBlocks();
            if (granted)
                return;
        }
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, lifetime.Ending);
        try
        {
            await turn.Task.WaitAsync(asked.Timeout, time, either.Token);
        }
        catch (Exception error) when (error is TimeoutException or OperationCanceledException)
        {
            // The grant may have come between the time-out and this lock: then it counts, because nobody else would release it.
            if (!TryWithdraw(request))
            {
                await turn.Task;
                return;
            }
            if (error is OperationCanceledException && lifetime.Ending.IsCancellationRequested)
                throw lifetime.Refusal();
            if (error is OperationCanceledException)
                throw;
            throw new HotpotTimeoutException(
                $"Bytes {asked.Range} of dataset '{dataset.Name}' were not granted within {asked.Timeout}; another node holds them, so try again or wait longer.");
        }
    }

    public bool Release(GrantHolder holder, ByteRange range, ulong upToTicket)
    {
        lock (_lock)
        {
            Prune();
            bool released = _table.Release(holder, range, upToTicket);
            RecallWhatBlocks();
            return released;
        }
    }

    public void HolderDied(NodeId node, Incarnation incarnation)
    {
        lock (_lock)
        {
            if (!_dead.TryGetValue(node, out Incarnation known) || known.CompareTo(incarnation) < 0)
                _dead[node] = incarnation;
            Prune();
            _table.RemoveHolder(node, incarnation);
            // The commit node tells nobody any more how its commits ended.
            foreach (RangeLockTable.Commit orphan in _table.Commits.Where(commit => IsDead(commit.Holder)))
                Watch(orphan.Transaction);
            RecallWhatBlocks();
        }
    }

    public GrantInfo[] List()
    {
        lock (_lock)
        {
            Prune();
            return [.. _table.Grants.Select(grant => new GrantInfo { Holder = grant.Holder, Range = grant.Range, Mode = grant.Mode, Ticket = grant.Ticket })];
        }
    }

    private bool TryWithdraw(RangeLockTable.Waiter waiter)
    {
        lock (_lock)
        {
            Prune();
            bool withdrawn = _table.Withdraw(waiter);
            RecallWhatBlocks();
            return withdrawn;
        }
    }

    // Under _lock, before anything else is done to the table: what is void must neither be granted nor stand in the way. Only a change of the map makes anything void.
    private void Prune()
    {
        ulong stamp = map.Stamp;
        if (stamp == _prunedAt)
            return;
        _table.Prune((range, since) => map.PartsOwnedSince(_self, range, since));
        _open.Clear();
        _prunedAt = stamp;
    }

    // Under _lock. Every grant that something in the queue conflicts with is being recalled; a grant given to one waiter is recalled for the next.
    private void RecallWhatBlocks()
    {
        if (_table.WaitingCount == 0)
            return;
        foreach (RangeLockTable.Grant grant in _table.Grants)
        {
            if (!_recalled.Contains(grant) && _table.IsInTheWay(grant))
            {
                _recalled.Add(grant);
                _ = RecallAsync(grant);
            }
        }
    }

    // Detached: it ends when the grant has gone or nobody waits for it any more, and asks again until then: the holder's release may be lost, and whoever
    // forgot the grant says so when it is asked.
    private async Task RecallAsync(RangeLockTable.Grant grant)
    {
        await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
        try
        {
            while (IsWanted(grant))
            {
                if (await TryRecallAsync(grant))
                    Release(grant);
                else
                    await Task.Delay(RecallRetry, time, lifetime.Ending);
            }
        }
        catch (OperationCanceledException error) when (lifetime.Ending.IsCancellationRequested)
        {
            LogEnded(error, dataset.Name);
        }
    }

    /// <summary>False: in use, and the holder sends it back when its user is done; or it did not answer.</summary>
    private async Task<bool> TryRecallAsync(RangeLockTable.Grant grant)
    {
        try
        {
            return await holders.RecallAsync(grant.Holder.Node, dataset.Id, grant.Range).WaitAsync(lifetime.Ending);
        }
        catch (Exception error) when (error is not OperationCanceledException || !lifetime.Ending.IsCancellationRequested)
        {
            // Whatever it was, asking again is right as long as somebody waits.
            LogRecallFailed(error, grant.Holder.Node, dataset.Name);
            return false;
        }
    }

    // This very grant: the holder may have acquired the same pages again since it said that nobody uses them.
    private void Release(RangeLockTable.Grant grant)
    {
        lock (_lock)
        {
            Prune();
            _table.Release(grant);
            RecallWhatBlocks();
        }
    }

    private bool IsWanted(RangeLockTable.Grant grant)
    {
        lock (_lock)
        {
            Prune();
            bool wanted = _table.Grants.Any(other => ReferenceEquals(other, grant)) && _table.IsInTheWay(grant);
            if (!wanted)
                _recalled.Remove(grant);
            return wanted;
        }
    }

    [LoggerMessage(LogLevel.Debug, "This node stops; what it did for the grants of dataset '{Dataset}' ends.")]
    private partial void LogEnded(Exception error, string dataset);

    [LoggerMessage(LogLevel.Warning, "The recall of a grant of dataset '{Dataset}' from node {Node} failed; it is repeated.")]
    private partial void LogRecallFailed(Exception error, NodeId node, string dataset);
}
