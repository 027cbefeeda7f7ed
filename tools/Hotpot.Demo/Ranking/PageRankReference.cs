using Hotpot.PackageGraph;

namespace Hotpot.Demo.Ranking;

/// <summary>PageRank in plain arrays of one process: what the ranks from the dataset are compared with.</summary>
/// <remarks>
/// Written to be read, and sharing nothing with <see cref="PageRankShare"/> but the formula: a package passes its rank on in equal parts
/// to the packages it depends on, one that depends on nothing passes it to all, and every package gets a small rank for being there.
/// </remarks>
public static class PageRankReference
{
    public const double Damping = 0.85;

    /// <summary>The iteration ends early when no rank moves by more than this in sum.</summary>
    public const double DeltaMin = 1e-15;

    public static double[] Compute(DependencyGraph graph, int iterations)
    {
        ArgumentNullException.ThrowIfNull(graph);
        var count = graph.VertexCount;
        var ranks = new double[count];
        Array.Fill(ranks, 1.0 / count);
        for (var iteration = 0; iteration < iterations; iteration++)
        {
            var next = new double[count];
            var dangling = 0.0;
            for (var vertex = 0; vertex < count; vertex++)
            {
                if (graph.OutDegree(vertex) == 0)
                    dangling += ranks[vertex];
                foreach (var target in graph.Targets(vertex))
                    next[target] += ranks[vertex] / graph.OutDegree(vertex);
            }

            var delta = 0.0;
            for (var vertex = 0; vertex < count; vertex++)
            {
                next[vertex] = ((1 - Damping) / count) + (Damping * (next[vertex] + (dangling / count)));
                delta += Math.Abs(next[vertex] - ranks[vertex]);
            }

            ranks = next;
            if (delta < DeltaMin)
                break;
        }

        return ranks;
    }
}
