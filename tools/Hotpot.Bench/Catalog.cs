using Hotpot.Bench.Benches.Barrier;
using Hotpot.Bench.Benches.Commit;
using Hotpot.Bench.Benches.CommitFile;
using Hotpot.Bench.Benches.Contend;
using Hotpot.Bench.Benches.Load;
using Hotpot.Bench.Benches.Miss;
using Hotpot.Bench.Benches.Open;
using Hotpot.Bench.Benches.PageRank;
using Hotpot.Bench.Benches.Recover;
using Hotpot.Bench.Benches.Scale;
using Hotpot.Bench.Benches.Scan;
using Hotpot.Bench.Benches.Ycsb;
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
        new LoadBench(),
        new MissBench(),
        new ScanBench(),
        new YcsbBench(),
        new PageRankBench(),
        new RecoverBench(),
        new OpenBench(),
        new ScaleBench(),
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
        [FillWorkload.Kind] = FillWorkload.CreateAsync,
        [MappedRecords.Kind] = MappedRecords.CreateAsync,
        [ArrayRecords.Kind] = ArrayRecords.CreateAsync,
        [LmdbRecords.Kind] = LmdbRecords.CreateAsync,
        [PageTouches.Kind] = PageTouches.CreateAsync,
        [RedisGets.Kind] = RedisGets.CreateAsync,
        [SequentialScan.Kind] = SequentialScan.CreateAsync,
        ["ycsb-hotpot"] = YcsbWorkload.With(HotpotYcsb.OpenAsync),
        ["ycsb-hotpot-create"] = YcsbWorkload.Loading(HotpotYcsb.CreateAsync),
        ["ycsb-hotpot-load"] = YcsbWorkload.Loading(HotpotYcsb.OpenAsync),
        ["ycsb-redis"] = YcsbWorkload.With(RedisYcsb.OpenAsync),
        ["ycsb-redis-create"] = YcsbWorkload.Loading(RedisYcsb.OpenAsync),
        ["ycsb-redis-load"] = YcsbWorkload.Loading(RedisYcsb.OpenAsync),
        ["ycsb-postgres"] = YcsbWorkload.With(PostgresYcsb.OpenAsync),
        ["ycsb-postgres-create"] = YcsbWorkload.Loading(PostgresYcsb.CreateAsync),
        ["ycsb-postgres-load"] = YcsbWorkload.Loading(PostgresYcsb.OpenAsync),
        ["ycsb-lmdb"] = YcsbWorkload.With(LmdbYcsb.OpenAsync),
        ["ycsb-lmdb-create"] = YcsbWorkload.Loading(LmdbYcsb.OpenAsync),
        ["ycsb-lmdb-load"] = YcsbWorkload.Loading(LmdbYcsb.OpenAsync),
        [GraphLoadWorkload.Kind] = GraphLoadWorkload.CreateAsync,
        [PageRankWorkload.Kind] = PageRankWorkload.CreateAsync,
        [NativePageRankWorkload.Kind] = NativePageRankWorkload.CreateAsync,
        [ChunkReads.Kind] = ChunkReads.CreateAsync,
        [SparseOpen.Kind] = SparseOpen.CreateAsync,
    };
}
