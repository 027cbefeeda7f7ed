using System.Diagnostics;
using Hotpot.Bench.Harness;
using Hotpot.Bench.Node;
using Hotpot.Clients;
using Hotpot.Graph.Engine;
using Hotpot.Graph.Storage;
using Run = Hotpot.Graph.Engine.GraphRun<Hotpot.Graph.Programs.PageRank, float, float, float>;

namespace Hotpot.Bench.Benches.PageRank;

/// <summary>Our side: one partition of a graph in a dataset, in step with the nodes that have the others. A turn is a whole run; its times are those of the steps.</summary>
internal sealed class PageRankWorkload(StoredGraph graph, Run run) : IWorkload
{
    public const string Kind = "pagerank";

    public static WorkloadSpec Spec(string dataset, int partitions, int partition, int steps) => new()
    {
        Kind = Kind,
        Parameters = new() { ["dataset"] = dataset, ["partitions"] = $"{partitions}", ["partition"] = $"{partition}", ["steps"] = $"{steps}" },
    };

    public static async Task<IWorkload> CreateAsync(WorkloadContext context)
    {
        var name = context.Spec["dataset"];
        var partition = (int)context.Spec.Number("partition");
        var graph = await StoredGraph.OpenAsync(context.Hotpot, name);
        try
        {
            await graph.PrefetchAsync(partition);
            var barrier = context.Hotpot.Barrier($"steps of {name}", (int)context.Spec.Number("partitions"));
            return new PageRankWorkload(graph, Make(graph, partition, (int)context.Spec.Number("steps"), barrier));
        }
        catch
        {
            graph.Dispose();
            throw;
        }
    }

    public async Task<Turn> RunAsync(int operations, TimeSpan limit)
    {
        var began = Stopwatch.GetTimestamp();
        var result = await run.RunAsync();
        return new Turn
        {
            Us = [.. result.StepSeconds.Select(seconds => seconds * 1e6)],
            Operations = result.Steps,
            Seconds = Stopwatch.GetElapsedTime(began).TotalSeconds,
            More = new() { ["exchange_ms_per_step"] = result.ExchangeSeconds * 1e3 / result.Steps, ["result_commit_ms"] = result.ResultSeconds * 1e3 },
        };
    }

    public ValueTask DisposeAsync()
    {
        run.Dispose();
        graph.Dispose();
        return ValueTask.CompletedTask;
    }

    private static unsafe Run Make(StoredGraph graph, int partition, int steps, DistributedBarrier barrier) =>
        new(graph.Root, [partition], new Graph.Programs.PageRank(graph.Root->VertexCount, steps), new DatasetExchange(graph.Dataset, graph.Mapping, barrier));
}
