using System.Runtime.InteropServices;
using Hotpot.Demo.Graph;
using Hotpot.Demo.Ranking;
using Hotpot.PackageGraph;
using Xunit;

namespace Hotpot.Tests.Demo;

/// <summary>PageRank over the linked image, in ordinary memory: shares run one after the other stand for nodes between barriers.</summary>
public sealed unsafe class PageRankShareTests
{
    private const int Iterations = 50;

    private static readonly Lazy<(DependencyGraph Graph, double[] Ranks)> s_reference = new(() =>
    {
        var graph = DependencyGraphFile.Read(ShippedGraph.Path);
        return (graph, PageRankReference.Compute(graph, Iterations));
    });

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(7)]
    public void Shares_together_give_the_ranks_of_a_plain_computation(int shares)
    {
        var (graph, expected) = s_reference.Value;
        using var image = new Image(graph);

        var ranks = Run(image.Root, shares, Iterations);

        var error = 0.0;
        for (var vertex = 0; vertex < graph.VertexCount; vertex++)
            error = Math.Max(error, Math.Abs(expected[vertex] - ranks[vertex]));
        Assert.InRange(error, 0, 1e-12);
        Assert.Equal(1.0, expected.Sum(), 1e-9);
    }

    [Fact]
    public void The_package_that_most_depend_on_ranks_first()
    {
        var (graph, expected) = s_reference.Value;
        using var image = new Image(graph);
        var ranks = Run(image.Root, 3, Iterations);

        var top = TopPackages.Pick(image.Root, ranks, 10);

        Assert.Equal(10, top.Count);
        Assert.Equal("libc6", top[0].Name);
        Assert.Equal(expected.Max(), top[0].Rank, 1e-12);
        Assert.Equal(top.OrderByDescending(package => package.Rank), top);
    }

    [Fact]
    public void Equal_ranks_are_ordered_by_name()
    {
        using var image = new Image(new DependencyGraph(["a", "b", "c"], [0, 0, 0, 0], []));

        var top = TopPackages.Pick(image.Root, Run(image.Root, 2, Iterations), 10);

        Assert.Equal(["a", "b", "c"], top.Select(package => package.Name));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(64)]
    public void Shares_cover_every_vertex_once_and_divide_the_work_evenly(int count)
    {
        var graph = s_reference.Value.Graph;
        using var image = new Image(graph);
        var dependents = graph.Transpose();
        var widest = Enumerable.Range(0, graph.VertexCount).Max(dependents.OutDegree) + 1;
        var even = (graph.EdgeCount + graph.VertexCount) / count;
        var next = 0;
        for (var index = 0; index < count; index++)
        {
            var share = new PageRankShare(image.Root, index, count);
            Assert.Equal(next, share.First);
            next = share.End;
            var work = 0;
            for (var vertex = share.First; vertex < share.End; vertex++)
                work += dependents.OutDegree(vertex) + 1;
            // A vertex is not divided, so a share may miss the even part by one vertex at each end.
            Assert.InRange(work, even - widest - 1, even + widest + 1);
        }

        Assert.Equal(graph.VertexCount, next);
    }

    [Fact]
    public void More_shares_than_vertices_leaves_some_empty_and_the_ranks_right()
    {
        var graph = new DependencyGraph(["a", "b"], [0, 1, 1], [1]);
        using var image = new Image(graph);

        var ranks = Run(image.Root, 5, Iterations);
        var expected = PageRankReference.Compute(graph, Iterations);

        Assert.Equal(expected[0], ranks[0], 1e-15);
        Assert.Equal(expected[1], ranks[1], 1e-15);
    }

    [Fact]
    public void Every_share_stops_after_the_same_iteration()
    {
        var graph = new DependencyGraph(["a", "b", "c"], [0, 1, 2, 2], [1, 2]);
        using var image = new Image(graph);

        Run(image.Root, 3, 1000, out var ran);

        Assert.InRange(ran, 2, 999);
    }

    [Fact]
    public void What_is_written_lies_within_the_share()
    {
        using var image = new Image(s_reference.Value.Graph);
        var share = new PageRankShare(image.Root, 1, 3);

        share.Written(5, out var ranks, out var rankBytes, out var sums, out var sumBytes);

        Assert.Equal((nint)(image.Root->OddRanks + share.First), ranks);
        Assert.Equal((share.End - share.First) * sizeof(double), rankBytes);
        Assert.Equal((nint)(image.Root->OddSums + 1), sums);
        Assert.Equal(sizeof(ShareSums), sumBytes);
    }

    private static double* Run(GraphRoot* root, int shares, int iterations) => Run(root, shares, iterations, out _);

    private static double* Run(GraphRoot* root, int shares, int iterations, out int ran)
    {
        for (var index = 0; index < shares; index++)
            new PageRankShare(root, index, shares).Start();
        for (ran = 0; ran < iterations; ran++)
        {
            var settled = new PageRankShare(root, 0, shares).IsSettled(ran);
            for (var index = 1; index < shares; index++)
                Assert.Equal(settled, new PageRankShare(root, index, shares).IsSettled(ran));
            if (settled)
                break;
            for (var index = 0; index < shares; index++)
                new PageRankShare(root, index, shares).Compute(ran);
        }

        return new PageRankShare(root, 0, shares).Ranks(ran);
    }

    /// <summary>A graph image in unmanaged memory.</summary>
    private sealed class Image : IDisposable
    {
        private readonly byte* _memory;

        public Image(DependencyGraph graph)
        {
            var size = GraphImage.SizeFor(graph);
            _memory = (byte*)NativeMemory.AllocZeroed((nuint)size);
            GraphImage.Write(graph, _memory, size);
            Root = GraphImage.Open(_memory);
        }

        public GraphRoot* Root { get; }

        public void Dispose() => NativeMemory.Free(_memory);
    }
}
