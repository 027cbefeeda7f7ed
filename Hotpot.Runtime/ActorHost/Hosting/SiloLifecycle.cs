namespace Hotpot.Actors;

/// <summary>Starts observers stage by stage upwards, those of one stage together, and stops them downwards.</summary>
internal sealed class SiloLifecycle : ISiloLifecycle
{
    private readonly Lock _gate = new();

    // Guarded by _gate.
    private readonly List<Subscription> _subscriptions = [];

    public int HighestCompletedStage { get; private set; } = int.MinValue;

    public int LowestStoppedStage { get; private set; } = int.MaxValue;

    public IDisposable Subscribe(string observerName, int stage, ILifecycleObserver observer)
    {
        var subscription = new Subscription(this, stage, observer);
        lock (_gate)
            _subscriptions.Add(subscription);
        return subscription;
    }

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        foreach (var stage in Stages().OrderBy(stage => stage.Key))
        {
            cancellationToken.ThrowIfCancellationRequested();
            await Task.WhenAll(stage.Select(subscription => subscription.Observer.OnStart(cancellationToken))).ConfigureAwait(false);
            HighestCompletedStage = stage.Key;
        }
    }

    /// <summary>
    /// Stops every stage that was started, even if some fail; the first failure is thrown at the end.
    /// </summary>
    public async Task StopAsync(CancellationToken cancellationToken)
    {
        var failures = new List<Exception>();
        foreach (var stage in Stages().Where(stage => stage.Key <= HighestCompletedStage).OrderByDescending(stage => stage.Key))
        {
            try
            {
                await Task.WhenAll(stage.Select(subscription => subscription.Observer.OnStop(cancellationToken))).ConfigureAwait(false);
            }
            catch (Exception exception)
            {
                failures.Add(exception);
            }

            LowestStoppedStage = stage.Key;
        }

        if (failures.Count > 0)
            throw new AggregateException("Some parts of the silo did not stop cleanly.", failures);
    }

    private List<IGrouping<int, Subscription>> Stages()
    {
        lock (_gate)
            return [.. _subscriptions.GroupBy(subscription => subscription.Stage)];
    }

    private sealed class Subscription(SiloLifecycle lifecycle, int stage, ILifecycleObserver observer) : IDisposable
    {
        public int Stage => stage;

        public ILifecycleObserver Observer => observer;

        public void Dispose()
        {
            lock (lifecycle._gate)
                lifecycle._subscriptions.Remove(this);
        }
    }
}
