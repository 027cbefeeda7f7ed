using Hotpot.Bench.Benches.Barrier;
using Hotpot.Bench.Benches.Commit;
using Hotpot.Bench.Benches.CommitFile;
using Hotpot.Bench.Benches.Contend;
using Hotpot.Bench.Harness;
using Hotpot.Bench.Node;

namespace Hotpot.Bench;

/// <summary>Everything that can be run, by name.</summary>
internal static class Catalog
{
    public static IReadOnlyList<IBenchmark> Benchmarks { get; } =
    [
        new CommitBench(),
        new CommitFileBench(),
        new ContendBench(),
        new BarrierBench(),
    ];

    public static IReadOnlyDictionary<string, WorkloadFactory> Workloads { get; } = new Dictionary<string, WorkloadFactory>(StringComparer.Ordinal)
    {
        [CommitWorkload.Kind] = CommitWorkload.CreateAsync,
        [OwnChunksWorkload.Kind] = OwnChunksWorkload.CreateAsync,
        [RedisCommitWorkload.Kind] = RedisCommitWorkload.CreateAsync,
        [WritersWorkload.Kind] = WritersWorkload.CreateAsync,
        [RedisWritersWorkload.Kind] = RedisWritersWorkload.CreateAsync,
        [PostgresWritersWorkload.Kind] = PostgresWritersWorkload.CreateAsync,
        [EtcdWritersWorkload.Kind] = EtcdWritersWorkload.CreateAsync,
        [FlushWorkload.Kind] = FlushWorkload.CreateAsync,
        [PageWriterWorkload.Kind] = PageWriterWorkload.CreateAsync,
        [BarrierWorkload.Kind] = BarrierWorkload.CreateAsync,
        [GrainCallWorkload.Kind] = GrainCallWorkload.CreateAsync,
    };
}
