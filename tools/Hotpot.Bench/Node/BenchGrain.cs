using System.Collections.Concurrent;
using Hotpot.Bench.Harness;
using Hotpot.Clients;
using Hotpot.Grains.Placement;

namespace Hotpot.Bench.Node;

/// <summary>The workloads of this process. They outlive a grain's activation.</summary>
internal sealed class RunningWorkloads
{
    public ConcurrentDictionary<string, IWorkload> ByKey { get; } = new(StringComparer.Ordinal);
}

/// <summary>Workloads run on the thread pool, not in the grain's turn: a load may wait for a page.</summary>
[OnNode]
[Reentrant]
internal sealed class BenchGrain(IHotpot hotpot, MappedDatasets datasets, RunningWorkloads running, IServiceProvider services) : Grain, IBenchGrain
{
    public async Task PrepareAsync(string key, WorkloadSpec spec)
    {
        var factory = Catalog.Workloads[spec.Kind];
        running.ByKey[key] = await Task.Run(() => factory(new WorkloadContext(hotpot, datasets, spec, services)));
    }

    public Task<Turn> RunAsync(string key, int operations, TimeSpan limit)
    {
        var workload = running.ByKey[key];
        return Task.Run(() => workload.RunAsync(operations, limit));
    }

    public async Task EndAsync(string key)
    {
        if (running.ByKey.TryRemove(key, out var workload))
            await workload.DisposeAsync();
    }
}
