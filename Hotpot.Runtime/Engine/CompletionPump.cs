using System.Threading.Tasks.Sources;
using Hotpot.Runtime.Interop;

namespace Hotpot.Runtime;

// Problem: the engine's native thread must never enter managed code (a GC could wait for a thread that is stopped in a page
// fault, and the fault could wait for the engine), yet managed callers want to await what the engine does.
//
// Scheme: the native side queues completions; one managed thread of this class waits for them in an ordinary P/Invoke, which
// a GC does not wait for. A completion carries the token of a PendingOperation. The pump never runs a caller's code:
// a continuation may touch an absent page and stop there for as long as a miss takes, so each operation is queued to the
// thread pool and completes there.
//
// Normal case: Rent takes an operation from the free list, the P/Invoke gets its token, the pump finds the operation by that
// token, the awaiter's GetResult returns it to the free list. No step allocates once the list has grown to the number
// of calls that were ever in flight together.
//
// Token: slot number in the low half, the use count of the slot in the high half. A completion whose use count is not the
// slot's present one would be a defect of the native side; it is counted and dropped, because completing another caller's
// operation with it would acknowledge what did not happen.
//
// Stop: hp_engine_stop makes the wait return HP_E_CLOSED. The pump then closes the table, and what is still in flight, or
// begins later, ends with HotpotStatus.Closed, so no caller waits for ever.
internal sealed class CompletionPump
{
    private const int BatchSize = 64;
    private const uint WaitMs = 1000;

    private readonly EngineHandle _engine;
    private readonly Thread _thread;
    private readonly Lock _lock = new();
    private readonly Stack<PendingOperation> _free = new();

    // Grows under _lock; the pump reads it under _lock too. Slots are never removed.
    private readonly List<PendingOperation> _slots = [];

    // Written by the pump under _lock, once; read under _lock.
    private bool _closed;

    // Written by the pump thread only; read by anyone for diagnosis.
    private long _strayCompletions;

    public CompletionPump(EngineHandle engine)
    {
        _engine = engine;
        _thread = new Thread(Run) { IsBackground = true, Name = "hotpot-completions" };
        _thread.Start();
    }

    public long StrayCompletions => Volatile.Read(ref _strayCompletions);

    /// <summary>Takes an operation; null once the engine has stopped.</summary>
    public PendingOperation? Rent()
    {
        lock (_lock)
        {
            if (_closed)
                return null;
            if (!_free.TryPop(out PendingOperation? operation))
            {
                operation = new PendingOperation(this, (uint)_slots.Count);
                _slots.Add(operation);
            }
            operation.Begin();
            return operation;
        }
    }

    /// <summary>Gives back an operation that completed, or whose native call refused to start.</summary>
    public void Return(PendingOperation operation)
    {
        lock (_lock)
        {
            operation.End();
            _free.Push(operation);
        }
    }

    /// <summary>Waits for the pump to have seen the engine's stop. Call it after hp_engine_stop.</summary>
    public void Join() => _thread.Join();

    private unsafe void Run()
    {
        HpCompletion* batch = stackalloc HpCompletion[BatchSize];
        while (true)
        {
            uint count = 0;
            int status = CompletionInterop.Wait(_engine, batch, BatchSize, WaitMs, &count);
            for (uint i = 0; i < count; i++)
                Complete(batch[i]);
            if (status == (int)HotpotStatus.Closed)
                break;
        }
        CompleteAllAsClosed();
    }

    private void Complete(in HpCompletion completion)
    {
        PendingOperation? operation = null;
        lock (_lock)
        {
            uint slot = (uint)completion.Token;
            if (slot < (uint)_slots.Count && _slots[(int)slot].TryFinish(completion.Token))
                operation = _slots[(int)slot];
        }
        if (operation is null)
            Volatile.Write(ref _strayCompletions, _strayCompletions + 1);
        else
            operation.Deliver(new Completion((HotpotStatus)completion.Status, (int)completion.Degree, completion.Value));
    }

    private void CompleteAllAsClosed()
    {
        List<PendingOperation> abandoned = [];
        lock (_lock)
        {
            _closed = true;
            foreach (PendingOperation operation in _slots)
            {
                if (operation.TryFinish(operation.Token))
                    abandoned.Add(operation);
            }
        }
        foreach (PendingOperation operation in abandoned)
            operation.Deliver(new Completion(HotpotStatus.Closed, 0, 0));
    }
}

/// <summary>One asynchronous call in flight. It is reused; its version guards against awaiting it twice.</summary>
internal sealed class PendingOperation(CompletionPump pump, uint slot) : IValueTaskSource<Completion>, IThreadPoolWorkItem
{
    // The continuation runs where SetResult is called, which is the thread pool (Execute), so no second hop is wanted.
    private ManualResetValueTaskSourceCore<Completion> _core;

    // Written by the pump before it queues the operation, read by Execute; the queue orders the two.
    private Completion _completion;

    // Both are written under the pump's lock.
    private uint _use;
    private bool _inFlight;

    /// <summary>What the native side gives back in the completion.</summary>
    public ulong Token => (ulong)_use << 32 | slot;

    public ValueTask<Completion> Task => new(this, _core.Version);

    public void Begin()
    {
        _use++;
        _inFlight = true;
    }

    public void End()
    {
        _inFlight = false;
        _core.Reset();
    }

    /// <summary>True exactly once for each use, for the token of that use.</summary>
    public bool TryFinish(ulong token)
    {
        if (!_inFlight || token != Token)
            return false;
        _inFlight = false;
        return true;
    }

    public void Deliver(Completion completion)
    {
        _completion = completion;
        ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
    }

    void IThreadPoolWorkItem.Execute() => _core.SetResult(_completion);

    Completion IValueTaskSource<Completion>.GetResult(short token)
    {
        Completion result = _core.GetResult(token);
        pump.Return(this);
        return result;
    }

    ValueTaskSourceStatus IValueTaskSource<Completion>.GetStatus(short token) => _core.GetStatus(token);

    void IValueTaskSource<Completion>.OnCompleted(
        Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _core.OnCompleted(continuation, state, token, flags);
}
