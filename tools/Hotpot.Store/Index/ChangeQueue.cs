namespace Hotpot.Store.Index;

// The changes of one stripe that need its exclusive lock. While one of this process waits for the lock or commits, others that come wait, and then go together: one turn of the
// lock, one edit, one commit. So nodes that insert into the same stripe hand its lock over once for many insertions.
//
// A change that does not fit must not take others with it: when one of several fails before the commit, each is done by itself. When the commit fails all are told.
internal sealed class ChangeQueue(Func<Action<StripeEdit>, Task> commit)
{
    // A commit carries 32 MiB; the last one may be as large as half a stripe.
    private const int BatchBytesMax = 1 << 20;

    private readonly Lock _lock = new();

    // Both are written under _lock.
    private readonly Queue<Waiting> _waiting = [];
    private bool _isBusy;

    private sealed record Waiting(int Bytes, Action<StripeEdit> Change, TaskCompletionSource Done);

    /// <param name="bytes">About how much it changes.</param>
    public async Task AddAsync(int bytes, Action<StripeEdit> change)
    {
        Waiting? waiting = null;
        lock (_lock)
        {
            if (_isBusy)
                _waiting.Enqueue(waiting = new Waiting(bytes, change, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)));
            else
                _isBusy = true;
        }
        if (waiting is not null)
        {
            await waiting.Done.Task.ConfigureAwait(false);
            return;
        }
        try
        {
            await commit(change).ConfigureAwait(false);
        }
        finally
        {
            if (HasMore())
                _ = RunAsync();
        }
    }

    /// <summary>Detached; whoever waits hears how his own change ended.</summary>
    private async Task RunAsync()
    {
        await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
        do
        {
            List<Waiting> batch = Take();
            if (batch.Count > 1 && await TryTogetherAsync(batch).ConfigureAwait(false))
                continue;
            foreach (Waiting one in batch)
                await TellAsync([one], commit(one.Change)).ConfigureAwait(false);
        }
        while (HasMore());
    }

    /// <summary>False: one of them cannot be done, and nothing was.</summary>
    private async Task<bool> TryTogetherAsync(List<Waiting> batch)
    {
        bool isPlanned = false;
        Task together = commit(edit =>
        {
            foreach (Waiting one in batch)
                one.Change(edit);
            isPlanned = true;
        });
        await together.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (together.IsFaulted && !isPlanned && together.Exception.InnerException is StoreFullException)
            return false;
        await TellAsync(batch, together).ConfigureAwait(false);
        return true;
    }

    private static async Task TellAsync(List<Waiting> batch, Task outcome)
    {
        try
        {
            await outcome.ConfigureAwait(false);
            foreach (Waiting one in batch)
                one.Done.SetResult();
        }
        catch (Exception failure)
        {
            foreach (Waiting one in batch)
                one.Done.SetException(failure);
        }
    }

    private List<Waiting> Take()
    {
        List<Waiting> batch = [];
        lock (_lock)
        {
            for (int bytes = 0; bytes < BatchBytesMax && _waiting.TryDequeue(out Waiting? next); bytes += next.Bytes)
                batch.Add(next);
        }
        return batch;
    }

    private bool HasMore()
    {
        lock (_lock)
            return _isBusy = _waiting.Count > 0;
    }
}
