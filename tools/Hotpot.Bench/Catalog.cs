using Hotpot.Bench.Benches.Ycsb;
using Hotpot.Bench.Harness;
using Hotpot.Bench.Node;

namespace Hotpot.Bench;

/// <summary>Everything that can be run, by name.</summary>
internal static class Catalog
{
    public static IReadOnlyList<IBenchmark> Benchmarks { get; } =
    [
        new YcsbBench(),
    ];

    public static IReadOnlyDictionary<string, WorkloadFactory> Workloads { get; } = new Dictionary<string, WorkloadFactory>(StringComparer.Ordinal)
    {
        ["ycsb-hotpot"] = YcsbWorkload.With(HotpotYcsb.OpenAsync),
        ["ycsb-hotpot-create"] = YcsbWorkload.Loading(HotpotYcsb.CreateAsync),
        ["ycsb-hotpot-load"] = YcsbWorkload.Loading(HotpotYcsb.OpenAsync),
    };
}
