using Hotpot.Bench.Harness;
using Hotpot.Bench.Node;

namespace Hotpot.Bench;

/// <summary>Everything that can be run, by name.</summary>
internal static class Catalog
{
    public static IReadOnlyList<IBenchmark> Benchmarks { get; } = [];

    public static IReadOnlyDictionary<string, WorkloadFactory> Workloads { get; } = new Dictionary<string, WorkloadFactory>(StringComparer.Ordinal);
}
