namespace Hotpot.Store.Memory;

// Group commit: what several threads want to change at one owner travels in one transaction.
//
// A commit costs messages, not bytes: ten records in one cost little more than one. So while a commit is under way to an owner, changes for the same owner wait and then go
// together. Nobody waits for company: a change that finds nothing under way goes at once, on its caller's thread. They share the fate of the transaction: all are
// durable or none is, and each caller is told the same.
//
// Only changes for one owner go together, because a transaction over several owners needs a round trip for each. Who owns what may change at any time; a commit that
// finds it changed takes longer, and is right all the same.
internal sealed class CommitQueue(IStoreMemory memory)
{
    // Far below the limits of a transaction, far above what threads bring together.
    private const int BatchWritesMax = 1024;
    private const int BatchBytesMax = 8 << 20;

    private readonly Lock _lock = new();

    // Written under _lock.
    private readonly Dictionary<ulong, Group> _groups = [];

    private sealed class Group
    {
        public Queue<Change> Waiting { get; } = [];

        public bool IsBusy { get; set; }
    }

    private sealed record Change(IReadOnlyList<ByteWrite> Writes, TaskCompletionSource Done);

    /// <param name="writes">In one chunk. They must not change before the task has ended.</param>
    public async Task CommitAsync(IReadOnlyList<ByteWrite> writes)
    {
        Group group;
        Change? waiting = null;
        lock (_lock)
        {
            ulong owner = memory.OwnerOf(writes[0].Offset);
            if (!_groups.TryGetValue(owner, out group!))
                _groups[owner] = group = new Group();
            if (group.IsBusy)
                group.Waiting.Enqueue(waiting = new Change(writes, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)));
            else
                group.IsBusy = true;
        }
        if (waiting is not null)
        {
            await waiting.Done.Task.ConfigureAwait(false);
            return;
        }
        try
        {
            await memory.WriteAsync(writes, CancellationToken.None).ConfigureAwait(false);
        }
        finally
        {
            if (HasMore(group))
                _ = RunAsync(group);
        }
    }

    /// <summary>Commits what waits until nothing does. Detached; whoever waits hears how his own commit ended.</summary>
    private async Task RunAsync(Group group)
    {
        await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
        do
        {
            List<Change> batch = Take(group);
            try
            {
                await memory.WriteAsync(batch.Count == 1 ? batch[0].Writes : [.. batch.SelectMany(change => change.Writes)], CancellationToken.None).ConfigureAwait(false);
                foreach (Change change in batch)
                    change.Done.SetResult();
            }
            catch (Exception failure)
            {
                foreach (Change change in batch)
                    change.Done.SetException(failure);
            }
        }
        while (HasMore(group));
    }

    private List<Change> Take(Group group)
    {
        List<Change> batch = [];
        int writes = 0;
        long bytes = 0;
        lock (_lock)
        {
            while (group.Waiting.TryPeek(out Change? next))
            {
                writes += next.Writes.Count;
                bytes += next.Writes.Sum(write => (long)write.Bytes.Length);
                if (batch.Count > 0 && (writes > BatchWritesMax || bytes > BatchBytesMax))
                    break;
                batch.Add(group.Waiting.Dequeue());
            }
        }
        return batch;
    }

    /// <summary>False: the next one who comes may go at once.</summary>
    private bool HasMore(Group group)
    {
        lock (_lock)
        {
            group.IsBusy = group.Waiting.Count > 0;
            return group.IsBusy;
        }
    }
}
