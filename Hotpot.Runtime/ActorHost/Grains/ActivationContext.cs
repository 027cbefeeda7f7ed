using System.Diagnostics;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Hotpot.Actors;

// One activation of a grain, and its turns.
//
// Problem. A grain's code must never run on two threads at once, and between the awaits of one request no other request
// may run, unless the grain says so.
//
// Scheme. The activation is a SynchronizationContext. All its code runs in Drain, which takes one piece of work after
// the other from a queue; Drain is on at most one thread at a time (_scheduled). An await in grain code captures the
// context, so what follows the await comes back through Post. Which requests may start is decided here and nowhere else
// (MayStart): one at a time, with these exceptions: a class marked [Reentrant], a method marked [AlwaysInterleave], and
// methods marked [ReadOnly] among themselves.
//
// Life. Creating -> Active -> Deactivating -> Gone, and Creating -> Gone when activation fails, or when the directory has
// the grain elsewhere (GrainDirectory.cs); then nothing of the grain has run here. Work that comes while
// Deactivating is not taken: the router waits until the activation is gone and looks again, since the next activation
// may be in another silo. That is not a retry: the request has not been started.
//
// What can still go wrong. A request that never ends holds a grain that is not reentrant for ever; its callers time out
// one by one. This is so in Orleans too.
internal sealed partial class ActivationContext : SynchronizationContext, IGrainContext, IThreadPoolWorkItem
{
    private const int WorkPerSlice = 128;

    [ThreadStatic]
    private static ActivationContext? t_creating;

    private readonly Silo _silo;
    private readonly ILogger _logger;
    private readonly TaskCompletionSource _deactivated = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly CancellationTokenSource _ending = new();

    // Guarded by _gate.
    private readonly Lock _gate = new();
    private readonly Queue<(SendOrPostCallback Callback, object? State)> _work = new();
    private bool _scheduled;
    private bool _takesRequests = true;
    private bool _mayRun;

    // Touched in turns only.
    private readonly LinkedList<Invocation> _waiting = [];
    private int _running;
    private int _runningReadOnly;
    private State _state;
    private DeactivationReason _reason;
    private AsyncServiceScope _scope;
    private bool _hasScope;

    // See Claim.
    private long _claim;

    public ActivationContext(Silo silo, GrainClass grainClass, GrainId grainId, ILogger logger)
    {
        _silo = silo;
        _logger = logger;
        Class = grainClass;
        GrainId = grainId;
        Post(static context => _ = ((ActivationContext)context!).ActivateAsync(), this);
    }

    private enum State
    {
        Creating,
        Active,
        Deactivating,
        Gone,
    }

    /// <summary>The activation whose grain is being constructed on this thread.</summary>
    public static ActivationContext? Creating => t_creating;

    public GrainClass Class { get; }

    public GrainId GrainId { get; }

    // Written once, in the first turn.
    public object? GrainInstance { get; private set; }

    public IServiceProvider ActivationServices => _hasScope ? _scope.ServiceProvider : _silo.Services;

    public GrainFactory Factory => _silo.GrainFactory;

    public Task Deactivated => _deactivated.Task;

    /// <summary>True from the moment no request is taken any more.</summary>
    public bool IsEnding
    {
        get
        {
            lock (_gate)
                return !_takesRequests;
        }
    }

    /// <summary>True from the moment code of the grain may run; one that is ending before that never runs any.</summary>
    public bool MayRun
    {
        get
        {
            lock (_gate)
                return _mayRun;
        }
    }

    /// <summary>
    /// The version of the membership in which the directory has confirmed this activation; 0 before that. Written by the
    /// directory, from the first turn and after changes of the membership.
    /// </summary>
    public long Claim
    {
        get => Volatile.Read(ref _claim);
        set => Volatile.Write(ref _claim, value);
    }

    /// <summary>Cancelled when the activation begins to end.</summary>
    public CancellationToken Ending => _ending.Token;

    public bool Equals(IGrainContext? other) => ReferenceEquals(this, other);

    /// <summary>
    /// Gives the activation a request; false when it is ending, and the caller has to look for the next activation.
    /// </summary>
    public bool TryEnqueue(Invocation invocation, bool runHere)
    {
        lock (_gate)
        {
            if (!_takesRequests)
                return false;
            _work.Enqueue((static work => ((Request)work!).Arrive(), new Request(this, invocation)));
            if (_scheduled)
                return true;
            _scheduled = true;
        }

        // A thread that belongs to another context must not be borrowed: its own turn would last until this one ends.
        if (runHere && Current is null)
            Drain();
        else
            ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: true);
        return true;
    }

    public void Deactivate(DeactivationReason deactivationReason, CancellationToken cancellationToken = default)
    {
        lock (_gate)
        {
            if (!_takesRequests)
                return;
            _takesRequests = false;
        }

        Post(
            static state =>
            {
                var (context, reason) = ((ActivationContext, DeactivationReason))state!;
                context._reason = reason;
                if (context._state == State.Active)
                    context.BeginEnding();
            },
            (this, deactivationReason));
    }

    public override void Post(SendOrPostCallback d, object? state)
    {
        lock (_gate)
        {
            _work.Enqueue((d, state));
            if (_scheduled)
                return;
            _scheduled = true;
        }

        ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: true);
    }

    public override void Send(SendOrPostCallback d, object? state) =>
        throw new NotSupportedException("A grain's turn cannot be waited for synchronously; await instead.");

    public override SynchronizationContext CreateCopy() => this;

    void IThreadPoolWorkItem.Execute() => Drain();

    private void Drain()
    {
        var outer = Current;
        SetSynchronizationContext(this);
        try
        {
            for (var done = 0; done < WorkPerSlice; done++)
            {
                (SendOrPostCallback Callback, object? State) work;
                lock (_gate)
                {
                    if (!_work.TryDequeue(out work))
                    {
                        _scheduled = false;
                        return;
                    }
                }

                try
                {
                    work.Callback(work.State);
                }
                catch (Exception exception)
                {
                    // Only an async void method of the grain can throw here; its author gets the log, and the
                    // activation goes on.
                    LogTurnFailed(GrainId, exception);
                }
            }
        }
        finally
        {
            SetSynchronizationContext(outer);
        }

        // Others want the thread too; this activation continues from the end of the pool's queue.
        ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
    }

    private async Task ActivateAsync()
    {
        try
        {
            var confirmed = await _silo.Directory.ConfirmAsync(this);
            lock (_gate)
            {
                _takesRequests &= confirmed;
                _mayRun = _takesRequests;
            }

            if (!MayRun)
            {
                await FinishAsync();
                return;
            }

            _scope = _silo.Services.CreateAsyncScope();
            _hasScope = true;
            var (constructor, facets) = GrainConstructor.Prepare(this);
            t_creating = this;
            try
            {
                GrainInstance = constructor();
            }
            finally
            {
                t_creating = null;
            }

            using var limit = new CancellationTokenSource(_silo.ResponseTimeout);
            foreach (var facet in facets)
                await facet.ReadStateAsync(limit.Token);
            await ((IGrainBase)GrainInstance).OnActivateAsync(limit.Token);
        }
        catch (Exception exception)
        {
            LogActivationFailed(GrainId, exception);
            lock (_gate)
                _takesRequests = false;
            foreach (var invocation in _waiting)
                invocation.Fail(exception);
            _waiting.Clear();
            await FinishAsync();
            return;
        }

        _state = State.Active;
        bool ending;
        lock (_gate)
            ending = !_takesRequests;
        if (ending)
            BeginEnding();
        else
            StartWaiting();
    }

    private bool MayStart(Invocation invocation)
    {
        if (_state != State.Active)
            return false;
        return _running == 0 || Class.Reentrant || invocation.AlwaysInterleave
            || (invocation.ReadOnly && _running == _runningReadOnly && _waiting.Count == 0);
    }

    private void Arrive(Invocation invocation)
    {
        if (MayStart(invocation))
            _ = RunAsync(invocation);
        else if (invocation.AlwaysInterleave)
            _waiting.AddFirst(invocation);
        else
            _waiting.AddLast(invocation);
    }

    private void StartWaiting()
    {
        while (_state == State.Active && _waiting.First is { } first)
        {
            var invocation = first.Value;
            var readOnlyAmongReadOnly = invocation.ReadOnly && _running == _runningReadOnly;
            if (_running > 0 && !Class.Reentrant && !invocation.AlwaysInterleave && !readOnlyAmongReadOnly)
                return;
            _waiting.RemoveFirst();
            if (Stopwatch.GetTimestamp() >= invocation.Deadline)
                invocation.Expire();
            else
                _ = RunAsync(invocation);
        }
    }

    private async Task RunAsync(Invocation invocation)
    {
        _running++;
        if (invocation.ReadOnly)
            _runningReadOnly++;
        var failure = await invocation.RunAsync(GrainInstance!);
        _running--;
        if (invocation.ReadOnly)
            _runningReadOnly--;

        // The grain works on a record that someone else has changed. The next activation reads it afresh.
        if (failure is InconsistentStateException)
            Deactivate(new DeactivationReason(DeactivationReasonCode.ApplicationError, failure, "Its stored record was changed by someone else."));
        if (_state == State.Deactivating && _running == 0)
            _ = EndAsync();
        else
            StartWaiting();
    }

    private void BeginEnding()
    {
        _state = State.Deactivating;
        _ending.Cancel();
        if (_running == 0)
            _ = EndAsync();
    }

    private async Task EndAsync()
    {
        try
        {
            using var limit = new CancellationTokenSource(_silo.ResponseTimeout);
            await ((IGrainBase)GrainInstance!).OnDeactivateAsync(_reason, limit.Token);
        }
        catch (Exception exception)
        {
            LogDeactivationFailed(GrainId, exception);
        }

        await FinishAsync();
    }

    private async Task FinishAsync()
    {
        _state = State.Gone;
        _ending.Cancel();
        await _silo.Catalog.RemoveAsync(this);
        if (_hasScope)
        {
            _hasScope = false;
            await _scope.DisposeAsync();
        }

        _deactivated.TrySetResult();
        foreach (var invocation in _waiting)
            Redirect(invocation);
        _waiting.Clear();
    }

    private void Redirect(Invocation invocation)
    {
        if (invocation is RoutableCall call)
            _silo.Router.Dispatch(call, runHere: false);
        else
            invocation.Fail(new OperationCanceledException($"{GrainId} was deactivated."));
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "A turn of {Grain} threw outside any request.")]
    private partial void LogTurnFailed(GrainId grain, Exception exception);

    [LoggerMessage(Level = LogLevel.Warning,
        Message = "{Grain} could not be activated; the requests that waited for it get the exception.")]
    private partial void LogActivationFailed(GrainId grain, Exception exception);

    [LoggerMessage(Level = LogLevel.Warning, Message = "OnDeactivateAsync of {Grain} failed; the activation is gone all the same.")]
    private partial void LogDeactivationFailed(GrainId grain, Exception exception);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Timer} failed or was dropped.")]
    public partial void LogTimerFailed(string timer, Exception exception);

    private sealed class Request(ActivationContext context, Invocation invocation)
    {
        public void Arrive()
        {
            if (context._state == State.Gone)
                context.Redirect(invocation);
            else
                context.Arrive(invocation);
        }
    }
}
