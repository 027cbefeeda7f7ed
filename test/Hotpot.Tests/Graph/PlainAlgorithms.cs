using Hotpot.Graph.Loading;

namespace Hotpot.Tests.Graph;

/// <summary>What the results are compared with: the same algorithms over a list of edges, written to be read.</summary>
internal static unsafe class PlainAlgorithms
{
    public static double[] PageRank(EdgeList edges, int steps)
    {
        var outDegree = new uint[edges.VertexCount];
        for (long edge = 0; edge < edges.EdgeCount; edge++)
            outDegree[edges.From[edge]]++;
        var ranks = new double[edges.VertexCount];
        Array.Fill(ranks, 1.0 / ranks.Length);
        for (var step = 0; step < steps; step++)
        {
            var next = new double[ranks.Length];
            Array.Fill(next, 0.15 / ranks.Length);
            for (long edge = 0; edge < edges.EdgeCount; edge++)
                next[edges.To[edge]] += 0.85 * ranks[edges.From[edge]] / outDegree[edges.From[edge]];
            ranks = next;
        }

        return ranks;
    }

    /// <summary>Union and find: the smallest vertex of each component.</summary>
    public static uint[] Components(EdgeList edges)
    {
        var parent = new uint[edges.VertexCount];
        for (uint vertex = 0; vertex < parent.Length; vertex++)
            parent[vertex] = vertex;
        for (long edge = 0; edge < edges.EdgeCount; edge++)
        {
            uint one = Find(edges.From[edge]), other = Find(edges.To[edge]);
            parent[Math.Max(one, other)] = Math.Min(one, other);
        }

        return [.. parent.Select((_, vertex) => Find((uint)vertex))];

        uint Find(uint vertex)
        {
            while (parent[vertex] != vertex)
                vertex = parent[vertex] = parent[parent[vertex]];
            return vertex;
        }
    }

    /// <summary>Dijkstra.</summary>
    public static ulong[] Distances(EdgeList edges, uint from)
    {
        var outgoing = new List<(uint To, uint Weight)>[edges.VertexCount];
        for (var vertex = 0; vertex < outgoing.Length; vertex++)
            outgoing[vertex] = [];
        for (long edge = 0; edge < edges.EdgeCount; edge++)
            outgoing[edges.From[edge]].Add((edges.To[edge], edges.Weight[edge]));
        var distances = new ulong[edges.VertexCount];
        Array.Fill(distances, ulong.MaxValue);
        PriorityQueue<uint, ulong> queue = new();
        distances[from] = 0;
        queue.Enqueue(from, 0);
        while (queue.TryDequeue(out var vertex, out var distance))
        {
            if (distance > distances[vertex])
                continue;
            foreach (var (to, weight) in outgoing[vertex])
            {
                if (distance + weight >= distances[to])
                    continue;
                distances[to] = distance + weight;
                queue.Enqueue(to, distances[to]);
            }
        }

        return distances;
    }
}
