using Hotpot.Graph;
using Hotpot.Graph.Loading;
using Hotpot.Graph.Programs;
using Hotpot.Graph.Storage;

namespace Hotpot.Tests.Graph;

/// <summary>The programs on graphs that are cut in several ways, each result compared with a plain computation.</summary>
public sealed class ProgramTests
{
    public static TheoryData<int, int> Cuts => new() { { 1, 1 }, { 2, 2 }, { 3, 3 }, { 4, 2 }, { 7, 7 } };

    [Theory]
    [MemberData(nameof(Cuts))]
    public async Task PageRankIsThatOfAPlainComputation(int partitions, int nodes)
    {
        const int Steps = 15;
        using var edges = Kronecker.Generate(scale: 11, edgeFactor: 16, seed: 5);
        var alone = 0.15f / edges.VertexCount;

        var ranks = await GraphRunning.RunAsync<PageRank, float, float, float>(
            edges, Options(partitions), new PageRank(edges.VertexCount, Steps), _ => alone, nodes);

        var expected = PlainAlgorithms.PageRank(edges, Steps);
        for (var vertex = 0; vertex < expected.Length; vertex++)
            Assert.Equal(1, ranks[vertex] / expected[vertex], 1e-4);
    }

    [Fact]
    public async Task PageRankStopsWhenRanksMoveNoMore()
    {
        // Each passes its whole rank to the next: nothing ever moves.
        using var circle = EdgeList.Of(3, (0u, 1u), (1u, 2u), (2u, 0u));

        var ranks = await GraphRunning.RunAsync<PageRank, float, float, float>(
            circle, Options(1), new PageRank(3, int.MaxValue, tolerance: 1e-5), _ => 0, nodeCount: 1);

        Assert.All(ranks, rank => Assert.Equal(1 / 3f, rank, 1e-6f));
    }

    [Theory]
    [MemberData(nameof(Cuts))]
    public async Task ComponentsAreThoseOfUnionAndFind(int partitions, int nodes)
    {
        // Few edges for each vertex, so that there are many components, and long ones.
        using var some = Kronecker.Generate(scale: 12, edgeFactor: 1, seed: 3);
        using var edges = some.Symmetric();

        var components = await GraphRunning.RunAsync<ConnectedComponents, uint, uint, uint>(
            edges, Options(partitions) with { Symmetric = true, Scatter = true }, default, vertex => vertex, nodes);

        var expected = PlainAlgorithms.Components(edges);
        Assert.Equal(expected, components);
        Assert.InRange(expected.Distinct().Count(), 2, expected.Length - 1);
    }

    [Theory]
    [MemberData(nameof(Cuts))]
    public async Task DistancesAreThoseOfDijkstra(int partitions, int nodes)
    {
        using var edges = Kronecker.Generate(scale: 11, edgeFactor: 8, seed: 9, weightMax: 255);
        var from = SourceOf(edges);

        var distances = await GraphRunning.RunAsync<ShortestPaths, ulong, ulong, ulong>(
            edges, Options(partitions) with { Scatter = true }, new ShortestPaths(from), vertex => vertex == from ? 0 : ShortestPaths.Unreachable, nodes);

        var expected = PlainAlgorithms.Distances(edges, from);
        Assert.Equal(expected, distances);
        Assert.InRange(expected.Count(distance => distance != ShortestPaths.Unreachable), 100, expected.Length - 1);
    }

    [Fact]
    public async Task APathIsFollowedToItsEnd()
    {
        const int Length = 200;
        using var path = EdgeList.OfWeighted(Length, [.. Enumerable.Range(0, Length - 1).Select(vertex => ((uint)vertex, (uint)vertex + 1, 7u))]);

        var distances = await GraphRunning.RunAsync<ShortestPaths, ulong, ulong, ulong>(
            path, Options(3) with { Scatter = true }, new ShortestPaths(0), _ => ShortestPaths.Unreachable, nodeCount: 3);

        Assert.Equal(Enumerable.Range(0, Length).Select(vertex => (ulong)vertex * 7), distances);
    }

    [Fact]
    public async Task AProgramIsRefusedAGraphWithoutWhatItNeeds()
    {
        using var edges = EdgeList.Of(2, (0u, 1u));
        using var weighted = EdgeList.OfWeighted(2, (0u, 1u, 1u));

        var scatter = await Assert.ThrowsAsync<GraphException>(() =>
            GraphRunning.RunAsync<ConnectedComponents, uint, uint, uint>(edges, Options(1), default, vertex => vertex, 1));
        var weights = await Assert.ThrowsAsync<GraphException>(() =>
            GraphRunning.RunAsync<ShortestPaths, ulong, ulong, ulong>(edges, Options(1) with { Scatter = true }, new ShortestPaths(0), _ => 0, 1));
        await GraphRunning.RunAsync<ShortestPaths, ulong, ulong, ulong>(weighted, Options(1) with { Scatter = true }, new ShortestPaths(0), _ => 0, 1);

        Assert.Contains(nameof(GraphOptions.Scatter), scatter.Message, StringComparison.Ordinal);
        Assert.Contains("weights", weights.Message, StringComparison.Ordinal);
    }

    private static GraphOptions Options(int partitions) => new() { Partitions = partitions, HubDegree = GraphRunning.HubDegree };

    private static unsafe uint SourceOf(EdgeList edges) => edges.From[0];
}
