using System.Runtime.InteropServices;
using Hotpot.Grains.Placement;
using Hotpot.Graph.Engine;
using Hotpot.Graph.Loading;
using Hotpot.Graph.Programs;
using Hotpot.Graph.Storage;

namespace Hotpot.ClusterNode;

[OnNode]
[Reentrant]
public sealed class GraphGrain(IHotpot hotpot) : Grain, IGraphGrain
{
    public const ulong Seed = 11;
    public const uint HubDegree = 16;
    public const uint WeightMax = 100;

    public Task LoadAsync(string dataset, GraphSource source, int partition) => Task.Run(async () =>
    {
        using var edges = Edges(source);
        await StoredGraph.WriteAsync(await hotpot.OpenAsync(dataset), Plan(edges, source), edges, partition);
    });

    public Task<int> RankAsync(string dataset, int partition, int steps) => RunAsync(
        dataset, "rank", (graph, exchange) => Make<PageRank, float, float, float>(graph, partition, exchange, vertices => new PageRank(vertices, steps)), run => run.RunAsync());

    public Task<int> ConnectAsync(string dataset, int partition) => RunAsync(
        dataset, "connect", (graph, exchange) => Make<ConnectedComponents, uint, uint, uint>(graph, partition, exchange, _ => default), run => run.RunAsync());

    public Task<int> MeasureAsync(string dataset, int partition, uint from) => RunAsync(
        dataset, "measure", (graph, exchange) => Make<ShortestPaths, ulong, ulong, ulong>(graph, partition, exchange, _ => new ShortestPaths(from)), run => run.RunAsync());

    public Task<byte[]> ReadAsync(string dataset, int stateBytes) => Task.Run(async () =>
    {
        using var graph = await StoredGraph.OpenAsync(hotpot, dataset);
        return stateBytes == sizeof(ulong) ? Bytes<ulong>(graph, ulong.MaxValue) : Bytes<uint>(graph, uint.MaxValue);
    });

    public static EdgeList Edges(GraphSource source)
    {
        using var some = Kronecker.Generate(source.Scale, source.EdgeFactor, Seed, WeightMax);
        return some.Symmetric();
    }

    public static GraphPlan Plan(EdgeList edges, GraphSource source) => new(
        edges, new GraphOptions { Partitions = source.Partitions, Symmetric = true, Scatter = true, HubDegree = HubDegree }, DatasetOptions.Default.ChunkBytes);

    private Task<int> RunAsync<TRun>(string dataset, string program, Func<StoredGraph, IExchange, TRun> make, Func<TRun, Task<RunResult>> run)
        where TRun : IDisposable => Task.Run(async () =>
    {
        using var graph = await StoredGraph.OpenAsync(hotpot, dataset);
        var exchange = new DatasetExchange(graph.Dataset, graph.Mapping, hotpot.Barrier($"{program} {dataset}", PartitionsOf(graph)));
        using var running = make(graph, exchange);
        return (await run(running)).Steps;
    });

    private static unsafe int PartitionsOf(StoredGraph graph) => graph.Root->PartitionCount;

    private static unsafe GraphRun<TProgram, TState, TSignal, TSum> Make<TProgram, TState, TSignal, TSum>(
        StoredGraph graph, int partition, IExchange exchange, Func<uint, TProgram> program)
        where TProgram : struct, IVertexProgram<TState, TSignal, TSum>
        where TState : unmanaged
        where TSignal : unmanaged, IEquatable<TSignal>
        where TSum : unmanaged => new(graph.Root, [partition], program(graph.Root->VertexCount), exchange);

    private static unsafe byte[] Bytes<TState>(StoredGraph graph, TState withoutEdges)
        where TState : unmanaged => MemoryMarshal.AsBytes(GraphStates.Read(graph.Root, _ => withoutEdges).AsSpan()).ToArray();
}
