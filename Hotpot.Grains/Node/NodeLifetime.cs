using System.Runtime.CompilerServices;

namespace Hotpot.Grains.Node;

// When waiting on this node makes no sense any more.
//
// A node ends in one of two ways. In order: its commits drain, its chunks are handed over, and then Ending is cancelled. Or it finds that the others have
// declared it dead (it stood still for too long): then nothing that it waits for can come true, because every message and call of it is refused. Ending is cancelled
// at once, nothing is drained or handed over, and whoever waits in this silo gets an error that says what to do. Every wait of this node that may
// last heeds Ending, for a grant in line too; what its grains do for others until the very end of an orderly stop heeds Fenced.
internal sealed class NodeLifetime
{
    // Never disposed: whoever still waits when the silo is gone must find them, and without a timer they hold nothing.
    private readonly CancellationTokenSource _ending = new();
    private readonly CancellationTokenSource _fenced = new();

    // Written once by whoever is first.
    private int _endingBegun;
    private int _fencedBegun;

    /// <summary>Cancelled when this node has handed over, or is fenced.</summary>
    public CancellationToken Ending => _ending.Token;

    /// <summary>Cancelled when the others have declared this node dead.</summary>
    public CancellationToken Fenced => _fenced.Token;

    public bool IsFenced => _fenced.IsCancellationRequested;

    public void End()
    {
        if (Interlocked.Exchange(ref _endingBegun, 1) == 0)
            _ending.Cancel();
    }

    /// <summary>True for the first call.</summary>
    public bool Fence()
    {
        if (Interlocked.Exchange(ref _fencedBegun, 1) != 0)
            return false;
        _fenced.Cancel();
        End();
        return true;
    }

    /// <summary>What a caller in this silo is told whose call this node cannot finish.</summary>
    public EngineClosedException Refusal() => new(IsFenced
        ? "This silo was declared dead by the others because it did not answer, and it stops; restart its process and repeat the call, or make it on another silo."
        : "This silo is shutting down and takes no calls any more; make the call on another one.");

    /// <summary>Runs what an application waits for; the end of this node is an error to it, not a cancellation that it did not ask for.</summary>
    public ValueTask<T> RunAsync<T>(Func<CancellationToken, Task<T>> call, CancellationToken cancellationToken) =>
        RunAsync(call, static (call, ending) => new ValueTask<T>(call(ending)), cancellationToken);

    /// <inheritdoc cref="RunAsync{T}(Func{CancellationToken, Task{T}}, CancellationToken)"/>
    /// <param name="state">What <paramref name="call"/> needs, so that it can be static.</param>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    public async ValueTask<T> RunAsync<TState, T>(TState state, Func<TState, CancellationToken, ValueTask<T>> call, CancellationToken cancellationToken)
    {
        using CancellationTokenSource? either = cancellationToken.CanBeCanceled ? CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, Ending) : null;
        try
        {
            return await call(state, either?.Token ?? Ending);
        }
        catch (OperationCanceledException) when (Ending.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
        {
            throw Refusal();
        }
    }
}
