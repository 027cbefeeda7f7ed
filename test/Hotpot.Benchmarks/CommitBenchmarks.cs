using System.Buffers.Binary;
using BenchmarkDotNet.Attributes;

namespace Hotpot.Benchmarks;

/// <summary>Commits of 1 KiB in the mapping of their chunk's owner; what all three silos allocate for one of them.</summary>
public class CommitBenchmarks
{
    private const int RecordBytes = 1024;

    private readonly ByteRange[] _range = [new ByteRange(0, RecordBytes)];

    // All three are set by SetUp and changed by nobody else but the benchmark itself.
    private Dataset _dataset = null!;
    private Mapping _mapping = null!;
    private long _commits;

    [Params(1, 3)]
    public int Degree { get; set; }

    /// <summary>A dataset with a single writer, acquired once; or one where anybody may commit.</summary>
    [Params(false, true)]
    public bool Acquired { get; set; }

    [GlobalSetup]
    public void SetUp() => CreateAsync().GetAwaiter().GetResult();

    [GlobalCleanup]
    public void CleanUp() => _mapping.Dispose();

    [Benchmark]
    [BytesAtMost(3000)]
    public Task<CommitResult> Commit()
    {
        // Other bytes each time: a commit of what is there already is none.
        BinaryPrimitives.WriteInt64LittleEndian(_mapping.GetSpan(0, RecordBytes), ++_commits);
        return _dataset.CommitAsync(_range);
    }

    private async Task CreateAsync()
    {
        var mode = Acquired ? SharingMode.SingleWriter : SharingMode.MultiWriter;
        _dataset = await ThreeSilos.Running.Hotpot.CreateDatasetAsync($"commits-{Degree}-{mode}", 1 << 20, new DatasetOptions { Degree = Degree, Mode = mode });
        _mapping = _dataset.Map();
        if (Acquired)
            await _dataset.AcquireAsync(new ByteRange(0, _dataset.Size));
        await Commit();
    }
}
