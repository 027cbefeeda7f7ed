using Hotpot.Graph.Engine;
using Hotpot.Graph.Loading;
using Hotpot.Graph.Storage;

namespace Hotpot.Tests.Graph;

/// <summary>Runs a program over a graph that is cut into partitions, each on a node of its own.</summary>
internal static class GraphRunning
{
    /// <summary>Small enough that small graphs have hubs.</summary>
    public const uint HubDegree = 16;

    public const long ChunkBytes = 4096;

    public static async Task<TState[]> RunAsync<TProgram, TState, TSignal, TSum>(
        EdgeList edges, GraphOptions options, TProgram program, Func<uint, TState> withoutEdges, int nodeCount)
        where TProgram : struct, IVertexProgram<TState, TSignal, TSum>
        where TState : unmanaged
        where TSignal : unmanaged, IEquatable<TSignal>
        where TSum : unmanaged
    {
        var plan = new GraphPlan(edges, options, ChunkBytes);
        GraphMemory[] nodes = [.. Enumerable.Range(0, nodeCount).Select(_ => new GraphMemory(plan, edges))];
        try
        {
            TestBarrier barrier = new(nodeCount);
            var results = await Task.WhenAll(nodes.Select((node, index) => Task.Run(() =>
                RunOneAsync<TProgram, TState, TSignal, TSum>(node, PartitionsOf(index, nodeCount, options.Partitions), program, new CopyingExchange(nodes, node, barrier)))));
            Assert.Single(results.Select(result => result.Steps).Distinct());
            var states = nodes.Select(node => Read(node, withoutEdges)).ToArray();
            // The result was published too: every node has all of it.
            Assert.All(states, each => Assert.Equal(states[0], each));
            return states[0];
        }
        finally
        {
            foreach (var node in nodes)
                node.Dispose();
        }
    }

    private static int[] PartitionsOf(int node, int nodes, int partitions) => [.. Enumerable.Range(0, partitions).Where(partition => partition % nodes == node)];

    private static async Task<RunResult> RunOneAsync<TProgram, TState, TSignal, TSum>(GraphMemory node, int[] partitions, TProgram program, IExchange exchange)
        where TProgram : struct, IVertexProgram<TState, TSignal, TSum>
        where TState : unmanaged
        where TSignal : unmanaged, IEquatable<TSignal>
        where TSum : unmanaged
    {
        using var run = Make<TProgram, TState, TSignal, TSum>(node, partitions, program, exchange);
        return await run.RunAsync();
    }

    private static unsafe GraphRun<TProgram, TState, TSignal, TSum> Make<TProgram, TState, TSignal, TSum>(
        GraphMemory node, int[] partitions, TProgram program, IExchange exchange)
        where TProgram : struct, IVertexProgram<TState, TSignal, TSum>
        where TState : unmanaged
        where TSignal : unmanaged, IEquatable<TSignal>
        where TSum : unmanaged => new(node.Root, partitions, program, exchange);

    private static unsafe TState[] Read<TState>(GraphMemory node, Func<uint, TState> withoutEdges)
        where TState : unmanaged => GraphStates.Read(node.Root, withoutEdges);
}
