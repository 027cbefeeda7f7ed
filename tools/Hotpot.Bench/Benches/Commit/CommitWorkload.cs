using Hotpot.Bench.Harness;
using Hotpot.Bench.Node;
using Hotpot.Clients;
using Hotpot.Grains.Node;

namespace Hotpot.Bench.Benches.Commit;

/// <summary>Stores into a mapping, and commits the ranges that were stored to: one commit at a time.</summary>
internal sealed class CommitWorkload : IWorkload
{
    public const string Kind = "commit";

    private readonly MappedDataset _mapped;
    private readonly Records _records;
    private readonly long _chunkBytes;
    private readonly int _chunks;
    private readonly ByteRange[] _ranges;

    // Set once, by CreateAsync.
    private IGrant? _grant;

    private CommitWorkload(MappedDataset mapped, Records records, int chunks)
    {
        _mapped = mapped;
        _records = records;
        _chunks = chunks;
        _chunkBytes = mapped.Dataset.Size / chunks;
        _ranges = new ByteRange[records.Areas];
    }

    /// <param name="chunks">The areas of a commit are spread over the first slots of that many chunks.</param>
    /// <param name="grant">The whole dataset is acquired, exclusively, for as long as the workload lives.</param>
    public static WorkloadSpec Spec(string dataset, int areas, int areaBytes, int chunks, bool grant) => new()
    {
        Kind = Kind,
        Parameters = new Dictionary<string, string>
        {
            ["dataset"] = dataset, ["areas"] = $"{areas}", ["bytes"] = $"{areaBytes}", ["chunks"] = $"{chunks}", ["grant"] = $"{grant}",
        },
    };

    public static async Task<IWorkload> CreateAsync(WorkloadContext context)
    {
        var spec = context.Spec;
        var mapped = await context.Datasets.OpenAsync(spec["dataset"]);
        var workload = new CommitWorkload(mapped, new Records((int)spec.Number("areas"), (int)spec.Number("bytes")), (int)spec.Number("chunks"));
        if (bool.Parse(spec["grant"]))
            workload._grant = await mapped.Dataset.AcquireAsync(new ByteRange(0, mapped.Dataset.Size));
        return workload;
    }

    public async Task<Turn> RunAsync(int operations, TimeSpan limit)
    {
        var degree = _mapped.Dataset.Description.Degree;
        long attempts = 0;
        long commits = 0;
        var clock = new TurnClock(operations, limit);
        while (clock.Begin())
        {
            Store();
            var result = await _mapped.Dataset.CommitAsync(_ranges).ConfigureAwait(false);
            clock.End();
            attempts += result.Attempts;
            commits++;
            if (result.Degree < degree || result.Owners != _chunks || result.Bytes == 0)
                throw new LocalClusterException($"A commit of {result.Bytes} bytes reached {result.Degree} of {degree} nodes at {result.Owners} of {_chunks} owners.");
        }

        return clock.Done(new() { ["allocated_bytes"] = clock.AllocatedBytes, ["attempts"] = attempts / (double)commits });
    }

    public async ValueTask DisposeAsync()
    {
        if (_grant is not null)
            await _grant.DisposeAsync();
    }

    private unsafe void Store()
    {
        for (var area = 0; area < _ranges.Length; area++)
        {
            var offset = area % _chunks * _chunkBytes + (long)_records.NextSlot() * Limits.PageBytes;
            _records.NextBytes().CopyTo(new Span<byte>(_mapped.Address + offset, _records.AreaBytes));
            _ranges[area] = new ByteRange(offset, _records.AreaBytes);
        }
    }
}
