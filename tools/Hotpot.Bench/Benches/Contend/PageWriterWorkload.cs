using Hotpot.Bench.Harness;
using Hotpot.Bench.Node;

namespace Hotpot.Bench.Benches.Contend;

/// <summary>One node that commits the same few bytes of a page again and again, with another value each time.</summary>
internal sealed class PageWriterWorkload(MappedDataset mapped, long offset, int bytes) : IWorkload
{
    public const string Kind = "page-writer";

    private readonly Random _random = new();
    private readonly ByteRange[] _ranges = [new(offset, bytes)];

    public static WorkloadSpec Spec(string dataset, long offset, int bytes) => new()
    {
        Kind = Kind, Parameters = new() { ["dataset"] = dataset, ["offset"] = $"{offset}", ["bytes"] = $"{bytes}" },
    };

    public static async Task<IWorkload> CreateAsync(WorkloadContext context) => new PageWriterWorkload(
        await context.Datasets.OpenAsync(context.Spec["dataset"]), context.Spec.Number("offset"), (int)context.Spec.Number("bytes"));

    public async Task<Turn> RunAsync(int operations, TimeSpan limit)
    {
        long repeated = 0;
        var clock = new TurnClock(operations, limit);
        while (clock.Begin())
        {
            Store();
            var result = await mapped.Dataset.CommitAsync(_ranges).ConfigureAwait(false);
            clock.End();
            repeated += result.Attempts - 1;
        }

        return clock.Done(new() { ["repeated"] = repeated });
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private unsafe void Store() => _random.NextBytes(new Span<byte>(mapped.Address + offset, bytes));
}
