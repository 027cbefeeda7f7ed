namespace Hotpot.Actors;

/// <summary>A timer of a grain. The next tick is timed from the end of the last, so ticks never pile up.</summary>
internal sealed class GrainTimer : IGrainTimer
{
    private readonly ActivationContext _context;
    private readonly Func<CancellationToken, Task> _callback;
    private readonly bool _interleave;
    private readonly Timer _timer;
    private readonly CancellationTokenRegistration _ending;

    // Guarded by _gate.
    private readonly Lock _gate = new();
    private TimeSpan _period;
    private bool _disposed;

    public GrainTimer(ActivationContext context, Func<CancellationToken, Task> callback, GrainTimerCreationOptions options)
    {
        _context = context;
        _callback = callback;
        _interleave = options.Interleave;
        _period = options.Period;
        using (ExecutionContext.SuppressFlow())
            _timer = new Timer(static timer => ((GrainTimer)timer!).Tick(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        _ending = context.Ending.UnsafeRegister(static timer => ((GrainTimer)timer!).Dispose(), this);
        Set(options.DueTime);
    }

    public void Change(TimeSpan dueTime, TimeSpan period)
    {
        lock (_gate)
            _period = period;
        Set(dueTime);
    }

    public void Dispose()
    {
        lock (_gate)
            _disposed = true;
        _timer.Dispose();
        _ending.Unregister();
    }

    private void Set(TimeSpan dueTime)
    {
        lock (_gate)
        {
            if (!_disposed)
                _timer.Change(dueTime, Timeout.InfiniteTimeSpan);
        }
    }

    private void Tick()
    {
        if (!_context.TryEnqueue(new TimerTick(this), runHere: false))
            Dispose();
    }

    /// <summary>A tick waits for its turn like a request.</summary>
    private sealed class TimerTick(GrainTimer timer) : Invocation
    {
        public override GrainId GrainId => timer._context.GrainId;

        public override string Name => $"a timer of {GrainId}";

        public override bool AlwaysInterleave => timer._interleave;

        public override bool ReadOnly => false;

        public override async Task<Exception?> RunAsync(object grain)
        {
            try
            {
                await timer._callback(timer._context.Ending);
            }
            catch (Exception exception)
            {
                Fail(exception);
            }

            TimeSpan period;
            lock (timer._gate)
                period = timer._period;
            timer.Set(period);
            return null;
        }

        public override void Fail(Exception exception) => timer._context.LogTimerFailed(Name, exception);

        public override void Expire()
        {
            // A tick has no deadline, so this is never called.
        }
    }
}
