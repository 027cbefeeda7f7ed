using Hotpot.Bench.Benches.Commit;
using Hotpot.Bench.Harness;
using Hotpot.Bench.Node;

namespace Hotpot.Bench.Benches.CommitFile;

/// <summary>Writers of one node, each with records of its own, that store into the mapping and commit.</summary>
internal sealed class WritersWorkload(MappedDataset mapped, int writers, int bytes) : IWorkload
{
    public const string Kind = "writers";

    /// <summary>Pages that one writer changes in turn.</summary>
    private const int PagesOfWriter = 4;

    // Each element is used by its writer only.
    private readonly Records[] _records = [.. Enumerable.Range(0, writers).Select(_ => new Records(1, bytes))];

    public static WorkloadSpec Spec(string dataset, int writers, int bytes) => new()
    {
        Kind = Kind, Parameters = new() { ["dataset"] = dataset, ["writers"] = $"{writers}", ["bytes"] = $"{bytes}" },
    };

    public static async Task<IWorkload> CreateAsync(WorkloadContext context) => new WritersWorkload(
        await context.Datasets.OpenAsync(context.Spec["dataset"]), (int)context.Spec.Number("writers"), (int)context.Spec.Number("bytes"));

    public Task<Turn> RunAsync(int operations, TimeSpan limit) => WriterLoops.RunAsync(writers, limit, WriteAsync);

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private async ValueTask WriteAsync(int writer)
    {
        var result = await mapped.Dataset.CommitAsync(Store(writer)).ConfigureAwait(false);
        if (result.Degree < mapped.Dataset.Description.Degree || result.Bytes == 0)
            throw new LocalClusterException($"A commit of {result.Bytes} bytes reached {result.Degree} of {mapped.Dataset.Description.Degree} nodes.");
    }

    private unsafe ByteRange Store(int writer)
    {
        var records = _records[writer];
        var offset = (long)(writer * PagesOfWriter + records.NextSlot() % PagesOfWriter) * Limits.PageBytes;
        records.NextBytes().CopyTo(new Span<byte>(mapped.Address + offset, bytes));
        return new ByteRange(offset, bytes);
    }
}
