using Hotpot.Bench.Benches.Load;
using Hotpot.Bench.Benches.Miss;
using Hotpot.Bench.Benches.Scan;
using Hotpot.Bench.Harness;
using Hotpot.Bench.Node;

namespace Hotpot.Bench;

/// <summary>Everything that can be run, by name.</summary>
internal static class Catalog
{
    public static IReadOnlyList<IBenchmark> Benchmarks { get; } =
    [
        new LoadBench(),
        new MissBench(),
        new ScanBench(),
    ];

    public static IReadOnlyDictionary<string, WorkloadFactory> Workloads { get; } = new Dictionary<string, WorkloadFactory>(StringComparer.Ordinal)
    {
        [FillWorkload.Kind] = FillWorkload.CreateAsync,
        [MappedRecords.Kind] = MappedRecords.CreateAsync,
        [ArrayRecords.Kind] = ArrayRecords.CreateAsync,
        [LmdbRecords.Kind] = LmdbRecords.CreateAsync,
        [PageTouches.Kind] = PageTouches.CreateAsync,
        [SequentialScan.Kind] = SequentialScan.CreateAsync,
    };
}
