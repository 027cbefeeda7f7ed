using System.Runtime.InteropServices;

namespace Hotpot.Graph.Loading;

/// <summary>Edges in no order, outside the managed heap: what a graph is loaded from. Immutable once filled.</summary>
public sealed unsafe class EdgeList : IDisposable
{
    // Freed, and set to null, by Dispose; null from the start if somebody else's.
    private void* _memory;
    private readonly IDisposable? _owner;

    public EdgeList(uint vertexCount, long edgeCount, bool weighted = false)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(edgeCount);
        VertexCount = vertexCount;
        EdgeCount = edgeCount;
        _memory = NativeMemory.Alloc((nuint)((edgeCount * (weighted ? 3 : 2) * sizeof(uint)) + 1));
        From = (uint*)_memory;
        To = From + edgeCount;
        Weight = weighted ? To + edgeCount : null;
    }

    /// <summary>Edges in somebody else's memory, a mapped file for one.</summary>
    /// <param name="weight">Null when the edges have none.</param>
    /// <param name="owner">Is disposed with the list.</param>
    public EdgeList(uint vertexCount, long edgeCount, uint* from, uint* to, uint* weight, IDisposable? owner)
    {
        VertexCount = vertexCount;
        EdgeCount = edgeCount;
        From = from;
        To = to;
        Weight = weight;
        _owner = owner;
    }

    public uint VertexCount { get; }

    public long EdgeCount { get; }

    public uint* From { get; }

    public uint* To { get; }

    /// <summary>Null when the edges have none.</summary>
    public uint* Weight { get; }

    public static EdgeList Of(uint vertexCount, params ReadOnlySpan<(uint From, uint To)> edges)
    {
        var list = new EdgeList(vertexCount, edges.Length);
        for (var edge = 0; edge < edges.Length; edge++)
            (list.From[edge], list.To[edge]) = edges[edge];
        return list;
    }

    public static EdgeList OfWeighted(uint vertexCount, params ReadOnlySpan<(uint From, uint To, uint Weight)> edges)
    {
        var list = new EdgeList(vertexCount, edges.Length, weighted: true);
        for (var edge = 0; edge < edges.Length; edge++)
            (list.From[edge], list.To[edge], list.Weight[edge]) = edges[edge];
        return list;
    }

    /// <summary>A copy with every edge in both directions.</summary>
    public EdgeList Symmetric()
    {
        var both = new EdgeList(VertexCount, EdgeCount * 2, Weight is not null);
        for (long edge = 0; edge < EdgeCount; edge++)
        {
            both.From[2 * edge] = both.To[(2 * edge) + 1] = From[edge];
            both.To[2 * edge] = both.From[(2 * edge) + 1] = To[edge];
            if (Weight is not null)
                both.Weight[2 * edge] = both.Weight[(2 * edge) + 1] = Weight[edge];
        }

        return both;
    }

    public void Dispose()
    {
        NativeMemory.Free(_memory);
        _memory = null;
        _owner?.Dispose();
    }
}
