namespace Hotpot.Graph.Loading;

/// <summary>The placed numbers of a graph's vertices: most out-edges first, and none for a vertex without edges. Immutable once made.</summary>
internal sealed unsafe class VertexOrder
{
    public const uint Nowhere = uint.MaxValue;

    public VertexOrder(EdgeList edges)
    {
        InDegree = new uint[edges.VertexCount];
        OutDegree = new uint[edges.VertexCount];
        for (long edge = 0; edge < edges.EdgeCount; edge++)
        {
            OutDegree[edges.From[edge]]++;
            InDegree[edges.To[edge]]++;
        }

        // A counting sort by degree: it keeps the order of vertices of the same degree, so the numbers are the same everywhere.
        var most = 0u;
        foreach (var degree in OutDegree)
            most = Math.Max(most, degree);
        var next = new uint[most + 2];
        for (uint vertex = 0; vertex < edges.VertexCount; vertex++)
        {
            if (HasEdges(vertex))
                next[most - OutDegree[vertex] + 1]++;
        }

        for (uint bucket = 1; bucket < next.Length; bucket++)
            next[bucket] += next[bucket - 1];
        Placed = new uint[edges.VertexCount];
        Id = new uint[next[^1]];
        for (uint vertex = 0; vertex < edges.VertexCount; vertex++)
        {
            Placed[vertex] = HasEdges(vertex) ? next[most - OutDegree[vertex]]++ : Nowhere;
            if (Placed[vertex] != Nowhere)
                Id[Placed[vertex]] = vertex;
        }
    }

    /// <summary>By the numbers that the graph came with, like <see cref="OutDegree"/> and <see cref="Placed"/>.</summary>
    public uint[] InDegree { get; }

    public uint[] OutDegree { get; }

    public uint[] Placed { get; }

    /// <summary>By placed number: the number that the graph came with.</summary>
    public uint[] Id { get; }

    public uint PlacedCount => (uint)Id.Length;

    private bool HasEdges(uint vertex) => (OutDegree[vertex] | InDegree[vertex]) != 0;
}
