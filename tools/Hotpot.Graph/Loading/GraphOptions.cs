namespace Hotpot.Graph.Loading;

/// <summary>How a graph is to lie in its dataset.</summary>
public sealed record GraphOptions
{
    public static GraphOptions Default { get; } = new();

    /// <summary>Into how many parts it is cut; a node computes on one or more of them.</summary>
    public int Partitions { get; init; } = 1;

    /// <summary>The edges given are there in both directions (<see cref="EdgeList.Symmetric"/>).</summary>
    public bool Symmetric { get; init; }

    /// <summary>Keeps the edges by source too, for programs that look only where something changed: about as many bytes again.</summary>
    public bool Scatter { get; init; }

    /// <summary>
    /// In-edges from which on a vertex is cut: its in-edges lie with their sources. Far above the number of partitions, so that one sum saves many signals, and low
    /// enough that no partition is left with a hub's edges alone.
    /// </summary>
    public uint HubDegree { get; init; } = 128;
}
