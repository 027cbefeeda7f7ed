using System.Diagnostics;
using Hotpot.Bench.Harness;
using Hotpot.Clients;

namespace Hotpot.Bench.Node;

/// <summary>Commits the <see cref="Pattern"/> to a whole dataset, so that this node owns all its chunks.</summary>
internal sealed class FillWorkload(Dataset dataset) : IWorkload
{
    public const string Kind = "fill";

    public static async Task<IWorkload> CreateAsync(WorkloadContext context) =>
        new FillWorkload(await context.Hotpot.OpenAsync(context.Spec["dataset"]));

    /// <summary>Creates a dataset of degree 1 that lies wholly on one node.</summary>
    public static async Task CreateFilledAsync(BenchCluster cluster, int owner, string name, long bytes, CancellationToken cancellation)
    {
        await cluster.Hotpot.CreateDatasetAsync(name, bytes, cancellationToken: cancellation);
        var spec = new WorkloadSpec { Kind = Kind, Parameters = { ["dataset"] = name } };
        var fill = await cluster.SideAsync(owner, Kind, spec, operations: 1, TimeSpan.FromMinutes(5));
        await fill.RunAsync(cancellation);
    }

    public async Task<Turn> RunAsync(int operations, TimeSpan limit)
    {
        var begin = Stopwatch.GetTimestamp();
        var buffer = GC.AllocateUninitializedArray<byte>(Dataset.AtomicWriteBytes);
        for (long offset = 0; offset < dataset.Size; offset += buffer.Length)
        {
            var piece = buffer.AsMemory(0, (int)Math.Min(buffer.Length, dataset.Size - offset));
            Pattern.Fill(piece.Span, offset);
            await dataset.WriteAsync(offset, piece);
        }

        return new Turn { Us = [], Operations = dataset.Size >> 20, Seconds = Stopwatch.GetElapsedTime(begin).TotalSeconds };
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
