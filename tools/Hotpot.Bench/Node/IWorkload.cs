using Hotpot.Bench.Harness;
using Hotpot.Clients;

namespace Hotpot.Bench.Node;

/// <summary>One side of a comparison, in the process where it is measured. One caller at a time.</summary>
internal interface IWorkload : IAsyncDisposable
{
    Task<Turn> RunAsync(int operations, TimeSpan limit);
}

/// <summary>What a workload may use: this node's Hotpot, and its mappings.</summary>
internal sealed record WorkloadContext(IHotpot Hotpot, MappedDatasets Datasets, WorkloadSpec Spec, IServiceProvider Services);

/// <summary>Makes a workload of one kind.</summary>
internal delegate Task<IWorkload> WorkloadFactory(WorkloadContext context);
