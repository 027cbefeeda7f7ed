using System.Runtime.InteropServices;
using Hotpot.Graph.Loading;
using Hotpot.Graph.Storage;
using Hotpot.Tests.Graph;

namespace Hotpot.Cluster.Tests;

/// <summary>A graph in a dataset, computed on by three silos, and opened again after all of them have been restarted.</summary>
public sealed class GraphTests : IAsyncLifetime
{
    private const string Name = "graph";
    private const int Nodes = 3;
    private const int Steps = 10;

    private static readonly GraphSource s_source = new() { Scale = 11, EdgeFactor = 4, Partitions = Nodes };

    private TestCluster _cluster = null!;

    public async Task InitializeAsync() => _cluster = await TestCluster.StartAsync(Nodes);

    public async Task DisposeAsync() => await _cluster.DisposeAsync();

    [Fact]
    public async Task ProgramsOnThreeSilosComputeWhatAPlainComputationDoesAndTheGraphOutlivesARestart()
    {
        using var edges = GraphGrain.Edges(s_source);
        var plan = GraphGrain.Plan(edges, s_source);
        var dataset = await StoredGraph.CreateAsync(_cluster.Hotpot, Name, plan, new DatasetOptions { Degree = 2 });
        await OnAllAsync((grain, partition) => grain.LoadAsync(Name, s_source, partition));
        await StoredGraph.WriteRootAsync(dataset, plan);
        var from = FirstSource(edges);

        await OnAllAsync((grain, partition) => grain.RankAsync(Name, partition, Steps));
        var expected = PlainAlgorithms.PageRank(edges, Steps);
        var ranks = await ReadAsync<float>(node: 1);
        var placed = 0;
        for (var vertex = 0; vertex < expected.Length; vertex++)
        {
            // All bits set: a vertex without edges, which is in no partition.
            if (float.IsNaN(ranks[vertex]))
                continue;
            placed++;
            Assert.Equal(1, ranks[vertex] / expected[vertex], 1e-4);
        }

        Assert.InRange(placed, expected.Length / 4, expected.Length - 1);

        await OnAllAsync((grain, partition) => grain.MeasureAsync(Name, partition, from));
        Assert.Equal(PlainAlgorithms.Distances(edges, from), await ReadAsync<ulong>(node: 2));

        await _cluster.RestartAllAsync();
        await _cluster.WaitUntilHealthyAsync(await _cluster.Hotpot.OpenAsync(Name));
        await OnAllAsync((grain, partition) => grain.ConnectAsync(Name, partition));
        var components = await ReadAsync<uint>(node: 0);
        var plain = PlainAlgorithms.Components(edges);
        for (var vertex = 0; vertex < plain.Length; vertex++)
            Assert.Equal(components[vertex] == uint.MaxValue ? (uint)vertex : components[vertex], plain[vertex]);
    }

    private Task OnAllAsync(Func<IGraphGrain, int, Task> call) => Task.WhenAll(Enumerable.Range(0, Nodes).Select(node => call(On(node), node)));

    private async Task<TState[]> ReadAsync<TState>(int node)
        where TState : unmanaged => MemoryMarshal.Cast<byte, TState>(await On(node).ReadAsync(Name, Marshal.SizeOf<TState>())).ToArray();

    private IGraphGrain On(int node) => _cluster.Grains.GetGrain<IGraphGrain>(GrainKeys.Node(_cluster.Nodes[node].Id));

    private static unsafe uint FirstSource(EdgeList edges) => edges.From[0];
}
