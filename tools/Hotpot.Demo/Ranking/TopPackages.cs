using Hotpot.Demo.Graph;
using Hotpot.Demo.Node;

namespace Hotpot.Demo.Ranking;

/// <summary>Picks the highest ranks; equal ranks are ordered by name, so that the answer is the same everywhere.</summary>
public static class TopPackages
{
    public static unsafe IReadOnlyList<RankedPackage> Pick(GraphRoot* root, double* ranks, int count)
    {
        var order = new int[root->VertexCount];
        var keys = new double[root->VertexCount];
        for (var vertex = 0; vertex < order.Length; vertex++)
        {
            order[vertex] = vertex;
            keys[vertex] = -ranks[vertex];
        }

        // Vertices are in the order of their names already, which the comparison falls back on.
        Array.Sort(order, (left, right) => keys[left] != keys[right] ? keys[left].CompareTo(keys[right]) : left.CompareTo(right));
        var top = new RankedPackage[Math.Min(count, order.Length)];
        for (var place = 0; place < top.Length; place++)
            top[place] = new RankedPackage { Name = GraphImage.NameOf(root->Vertices + order[place]), Rank = ranks[order[place]] };
        return top;
    }
}
