using Microsoft.Extensions.Logging;
using Hotpot.Grains.Node;

namespace Hotpot.Grains.Acquire;

/// <summary>
/// The grants of the chunks that this node owns in one dataset. It belongs to the node, not to the activation of the owner grain, so that
/// the collection of an idle activation forgets no grant. Safe for concurrent use.
/// </summary>
/// <param name="recall">Asks a holder's node to give a grant back; true when it did.</param>
internal sealed partial class OwnedGrants(
    DatasetDescription dataset, NodeId self, LocalChunkMap map, Func<NodeId, ByteRange, Task<bool>> recall, NodeLifetime lifetime, TimeProvider time, ILogger logger)
{
    /// <summary>After a recall that failed because its call did, not because the grant is in use.</summary>
    private static readonly TimeSpan RecallRetry = TimeSpan.FromMilliseconds(250);

    private readonly Lock _lock = new();
    private readonly RangeLockTable _table = new();

    // Grants whose holder has been asked, or is being asked, to give them back. Written under _lock.
    private readonly HashSet<RangeLockTable.Grant> _recalled = new(ReferenceEqualityComparer.Instance);

    public async Task AcquireAsync(AcquireRequest asked, CancellationToken cancellationToken)
    {
        asked.Range.CheckInside(dataset.Size, dataset.Name);
        if (asked.Range.IsEmpty)
            throw new InvalidRequestException("An empty range cannot be acquired; give at least one byte.");
        TaskCompletionSource turn = new(TaskCreationOptions.RunContinuationsAsynchronously);
        RangeLockTable.Request request;
        lock (_lock)
        {
            Prune();
            CheckOwned(asked.Range);
            request = new RangeLockTable.Request(
                asked.Holder, asked.Range, asked.Mode, map.Stamp, turn.SetResult, error => turn.SetException(error));
            bool granted = _table.Acquire(request);
            RecallWhatBlocks();
            if (granted)
                return;
        }
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, lifetime.Fenced);
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
            if (error is OperationCanceledException && lifetime.IsFenced)
                throw lifetime.Refusal();
            if (error is OperationCanceledException)
                throw;
            throw new HotpotTimeoutException(
                $"Bytes {asked.Range} of dataset '{dataset.Name}' were not granted within {asked.Timeout}; another node holds them, so try again or wait longer.");
        }
    }

    public bool Release(GrantHolder holder, ByteRange range)
    {
        lock (_lock)
        {
            Prune();
            bool released = _table.Release(holder, range);
            RecallWhatBlocks();
            return released;
        }
    }

    public void HolderDied(NodeId node, Incarnation incarnation)
    {
        lock (_lock)
        {
            _table.RemoveHolder(node, incarnation);
            RecallWhatBlocks();
        }
    }

    /// <summary>Every byte of these ranges that this node owns is granted exclusively to the holder.</summary>
    public bool AreHeldExclusively(GrantHolder holder, IEnumerable<ByteRange> ranges)
    {
        lock (_lock)
        {
            Prune();
            return ranges.SelectMany(range => dataset.ChunksOf(range).Select(chunk => (range, chunk)))
                .Where(part => map.Find(part.chunk)?.Owner == self)
                .All(part => _table.HoldsExclusively(holder, Intersect(part.range, dataset.RangeOf(part.chunk))));
        }
    }

    public GrantInfo[] List()
    {
        lock (_lock)
        {
            Prune();
            return [.. _table.Grants.Select(grant => new GrantInfo { Holder = grant.Holder, Range = grant.Range, Mode = grant.Mode })];
        }
    }

    private static ByteRange Intersect(ByteRange left, ByteRange right)
    {
        long start = Math.Max(left.Offset, right.Offset);
        return new ByteRange(start, Math.Min(left.End, right.End) - start);
    }

    private bool TryWithdraw(RangeLockTable.Request request)
    {
        lock (_lock)
        {
            bool withdrawn = _table.Withdraw(request);
            RecallWhatBlocks();
            return withdrawn;
        }
    }

    private void Prune() => _table.Prune((range, stamp) => map.IsOwnedSince(self, range, stamp));

    private void CheckOwned(ByteRange range)
    {
        foreach (ChunkIndex chunk in dataset.ChunksOf(range))
        {
            ChunkEntry? entry = map.Find(chunk);
            if (entry?.Owner != self)
                throw new NotOwnerException($"Node {self} does not own chunk {chunk} of dataset '{dataset.Name}' now; fetch the new map and ask its owner.");
            if (entry.Phase != ChunkPhase.Active)
                throw new BusyException($"Chunk {chunk} of dataset '{dataset.Name}' is recovering; try again shortly.");
        }
    }

    // Under _lock. Every grant that a waiting request conflicts with is recalled once; a grant given to one waiter is recalled for the next.
    private void RecallWhatBlocks()
    {
        _recalled.IntersectWith(_table.Grants);
        foreach (RangeLockTable.Request request in _table.Waiting)
        {
            foreach (RangeLockTable.Grant grant in _table.ConflictingGrants(request.Holder, request.Range, request.Mode))
            {
                if (_recalled.Add(grant))
                    _ = RecallAsync(grant);
            }
        }
    }

    // Detached: it ends by itself when the holder has answered, and every failure is handled here.
    private async Task RecallAsync(RangeLockTable.Grant grant)
    {
        await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
        while (IsPresent(grant) && !lifetime.IsFenced)
        {
            try
            {
                // False: in use; the holder remembers the recall and releases the grant when its user is done.
                if (await recall(grant.Holder.Node, grant.Range))
                    Release(grant.Holder, grant.Range);
                return;
            }
            catch (NodeUnavailableException)
            {
                // The membership will report the holder's death, and HolderDied frees the grant.
                return;
            }
            catch (Exception error) when (TransientErrors.MayPass(error))
            {
                LogRecallFailed(error, grant.Holder.Node, dataset.Name);
                await Task.Delay(RecallRetry, time);
            }
        }
    }

    private bool IsPresent(RangeLockTable.Grant grant)
    {
        lock (_lock)
            return _table.Grants.Any(other => ReferenceEquals(other, grant));
    }

    [LoggerMessage(LogLevel.Warning, "The recall of a grant of dataset '{Dataset}' from node {Node} failed; it is repeated.")]
    private partial void LogRecallFailed(Exception error, NodeId node, string dataset);
}
