using BenchmarkDotNet.Attributes;

namespace Hotpot.Benchmarks;

/// <summary>Loads and stores of pages that are here: plain memory behind a check of the range.</summary>
public class LoadBenchmarks
{
    private const int RecordBytes = 1024;

    private readonly byte[] _record = new byte[RecordBytes];

    // Each benchmark is set up anew, in the same silos. Written by SetUp only.
    private static int s_datasets;

    // Set by SetUp.
    private Mapping _mapping = null!;

    [GlobalSetup]
    public void SetUp()
    {
        _mapping = Create().GetAwaiter().GetResult();
        _mapping.GetSpan(0, RecordBytes).Fill(7);
    }

    [GlobalCleanup]
    public void CleanUp() => _mapping.Dispose();

    [Benchmark]
    [BytesAtMost(0)]
    public long Load() => _mapping.ReadOnlyRef<long>(64);

    [Benchmark]
    [BytesAtMost(0)]
    public void LoadRecord() => _mapping.GetReadOnlySpan(0, RecordBytes).CopyTo(_record);

    [Benchmark]
    [BytesAtMost(0)]
    public void Store() => _mapping.Ref<long>(64)++;

    private static async Task<Mapping> Create() =>
        (await ThreeSilos.Running.Hotpot.CreateDatasetAsync($"loads-{++s_datasets}", 1 << 20, new DatasetOptions { Degree = 1 })).Map();
}
