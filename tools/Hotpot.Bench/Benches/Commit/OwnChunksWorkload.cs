using System.Diagnostics;
using Hotpot.Bench.Harness;
using Hotpot.Bench.Node;
using Hotpot.Clients;

namespace Hotpot.Bench.Benches.Commit;

/// <summary>Makes this node the owner of a chunk: the first that commits to it. One operation, once.</summary>
internal sealed class OwnChunksWorkload(Dataset dataset, long offset) : IWorkload
{
    public const string Kind = "own-chunks";

    public static async Task OnAsync(BenchCluster cluster, int node, string dataset, long offset)
    {
        var side = await cluster.SideAsync(
            node, Kind, new WorkloadSpec { Kind = Kind, Parameters = new() { ["dataset"] = dataset, ["offset"] = $"{offset}" } }, 1, TimeSpan.FromSeconds(30));
        await side.RunAsync(CancellationToken.None);
    }

    public static async Task<IWorkload> CreateAsync(WorkloadContext context) =>
        new OwnChunksWorkload(await context.Hotpot.OpenAsync(context.Spec["dataset"]), context.Spec.Number("offset"));

    public async Task<Turn> RunAsync(int operations, TimeSpan limit)
    {
        var started = Stopwatch.GetTimestamp();
        await dataset.WriteAsync(offset, new byte[] { 1 });
        return new Turn { Us = [], Operations = 1, Seconds = Stopwatch.GetElapsedTime(started).TotalSeconds };
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
