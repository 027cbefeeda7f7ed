namespace Hotpot.Store.Memory;

// One stripe's lock: shared for writers that only replace a value where it lies, exclusive for all others; readers never come here.
//
// Among processes it is a grant of the stripe's first page, which nobody ever writes. A grant is kept after its release until another node asks, so a lock that only one
// node uses costs no message, and neither does a shared one that all nodes use. The page lies in the same chunk as all that it protects: one owner knows both, and
// it grants the lock of a dead process only after it has stopped hearing that process's commits.
// Within the process it is a queue in order of arrival; the grant lasts as long as anybody is inside.
//
// A commit whose outcome stays unknown may still appear later, on top of what others do in the meantime. Then the lock is never released: it ends with the process,
// and by then recovery has settled the commit.
internal sealed class StripeLock(IStoreMemory memory, ByteRange range)
{
    private readonly Lock _gate = new();

    // All are written under _gate.
    private readonly Queue<(TaskCompletionSource Turn, bool IsExclusive)> _waiting = [];
    private int _inside;
    private bool _isExclusive;
    private bool _isReleasing;
    private Lazy<Task<IAsyncDisposable>>? _grant;
    private OutcomeUnknownException? _unsettled;

    public async ValueTask EnterAsync(bool isExclusive)
    {
        Task? turn = null;
        lock (_gate)
        {
            if (_waiting.Count == 0 && CanEnter(isExclusive))
            {
                Admit(isExclusive);
            }
            else
            {
                TaskCompletionSource later = new(TaskCreationOptions.RunContinuationsAsynchronously);
                _waiting.Enqueue((later, isExclusive));
                turn = later.Task;
            }
        }
        if (turn is not null)
            await turn.ConfigureAwait(false);
        try
        {
            if (Volatile.Read(ref _unsettled) is { } unsettled)
                throw new OutcomeUnknownException(
                    $"A commit to bytes {range} of the store ended with an unknown outcome, so this process changes nothing there any more; restart its silo. It said: {unsettled.Message}");
            // Set by whoever was let in first, and not taken back before the last one has left.
            await _grant!.Value.ConfigureAwait(false);
        }
        catch (Exception)
        {
            await ExitAsync().ConfigureAwait(false);
            throw;
        }
    }

    public async ValueTask ExitAsync()
    {
        IAsyncDisposable? grant = null;
        lock (_gate)
        {
            if (--_inside > 0)
                return;
            if (_unsettled is null)
            {
                _isReleasing = true;
                if (_grant is { IsValueCreated: true, Value.IsCompletedSuccessfully: true })
                    grant = _grant.Value.Result;
            }
        }
        try
        {
            if (grant is not null)
                await grant.DisposeAsync().ConfigureAwait(false);
        }
        finally
        {
            lock (_gate)
            {
                if (_isReleasing)
                    _grant = null;
                _isReleasing = false;
                while (_waiting.TryPeek(out var next) && CanEnter(next.IsExclusive))
                {
                    _waiting.Dequeue();
                    Admit(next.IsExclusive);
                    next.Turn.SetResult();
                }
            }
        }
    }

    /// <summary>By one who is inside: nobody of this process comes in any more, and the grant is kept.</summary>
    public void KeepForEver(OutcomeUnknownException why)
    {
        lock (_gate)
            _unsettled ??= why;
    }

    private bool CanEnter(bool isExclusive) => !_isReleasing && (_inside == 0 || (!isExclusive && !_isExclusive));

    private void Admit(bool isExclusive)
    {
        _inside++;
        _isExclusive = isExclusive;
        _grant ??= new Lazy<Task<IAsyncDisposable>>(() => memory.LockAsync(range, isExclusive, CancellationToken.None));
    }
}
