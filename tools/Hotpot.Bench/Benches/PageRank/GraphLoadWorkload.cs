using Hotpot.Bench.Harness;
using Hotpot.Bench.Node;
using Hotpot.Clients;
using Hotpot.Graph.Loading;
using Hotpot.Graph.Storage;

namespace Hotpot.Bench.Benches.PageRank;

/// <summary>Loads one partition from the file of edges; it is ready when the partition is durable. It has no turns.</summary>
internal sealed class GraphLoadWorkload : IWorkload
{
    public const string Kind = "graph-load";

    /// <summary>4 MiB: the default of datasets.</summary>
    public static readonly long ChunkBytes = DatasetOptions.Default.ChunkBytes;

    public static WorkloadSpec Spec(string dataset, string edgeFile, int partitions, int partition) => new()
    {
        Kind = Kind,
        Parameters = new() { ["dataset"] = dataset, ["edges"] = edgeFile, ["partitions"] = $"{partitions}", ["partition"] = $"{partition}" },
    };

    public static async Task<IWorkload> CreateAsync(WorkloadContext context)
    {
        using var edges = EdgeFile.Map(context.Spec["edges"]);
        var plan = Plan(edges, (int)context.Spec.Number("partitions"));
        var dataset = await context.Hotpot.OpenAsync(context.Spec["dataset"]);
        await StoredGraph.WriteAsync(dataset, plan, edges, (int)context.Spec.Number("partition"));
        return new GraphLoadWorkload();
    }

    public static GraphPlan Plan(EdgeList edges, int partitions) => new(edges, new GraphOptions { Partitions = partitions }, ChunkBytes);

    public Task<Turn> RunAsync(int operations, TimeSpan limit) => throw new NotSupportedException("Loading has no turns; prepare it only.");

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
