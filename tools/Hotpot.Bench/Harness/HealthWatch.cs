using System.Diagnostics;
using Hotpot.Clients;

namespace Hotpot.Bench.Harness;

/// <summary>Looks at a dataset's configuration until it is as it should be.</summary>
internal static class HealthWatch
{
    private static readonly TimeSpan s_interval = TimeSpan.FromMilliseconds(2);
    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(2);

    /// <returns>How long it took from <paramref name="since"/> (of <see cref="Stopwatch"/>) on; as exact as a look and the pause between two of them.</returns>
    public static async Task<TimeSpan> UntilAsync(BenchCluster cluster, Dataset dataset, long since, Func<DatasetHealth, bool> reached, CancellationToken cancellation)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        limit.CancelAfter(s_limit);
        DatasetHealth? last = null;
        try
        {
            while (true)
            {
                if (await LookAsync(cluster, dataset, limit.Token) is { } health)
                {
                    last = health;
                    if (reached(health))
                        return Stopwatch.GetElapsedTime(since);
                }

                await Task.Delay(s_interval, limit.Token);
            }
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            throw new LocalClusterException($"Dataset '{dataset.Name}' was not as expected within {s_limit.TotalSeconds:0} s; its last state was {last}.");
        }
    }

    /// <summary>Every assigned chunk has all its replicas, and none is on its way.</summary>
    public static bool IsWhole(DatasetHealth health) => health is { Recovering: 0, Joining: 0, ReplicasMissing: 0 };

    /// <summary>Null while nobody can say: the grain may have been on the node that was killed.</summary>
    private static async Task<DatasetHealth?> LookAsync(BenchCluster cluster, Dataset dataset, CancellationToken cancellation)
    {
        try
        {
            return await cluster.Client.Grains.DatasetGrain(dataset.Id).GetHealthAsync().WaitAsync(cancellation);
        }
        catch (Exception failure) when (failure is OrleansException or TimeoutException or HotpotException)
        {
            return null;
        }
    }
}
