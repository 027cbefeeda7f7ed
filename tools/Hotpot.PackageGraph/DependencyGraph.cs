namespace Hotpot.PackageGraph;

/// <summary>
/// A directed graph of named vertices: an edge goes from a package to a package it depends on. Immutable after construction.
/// </summary>
/// <remarks>
/// Invariants, checked by the constructor because both the file reader and the tool build graphs from foreign input:
/// names are unique and in ordinal order; the targets of a vertex are strictly ascending, in range, and never the vertex itself.
/// Edges are kept in compressed sparse rows: vertex v points at targets[starts[v]] up to, not including, targets[starts[v + 1]].
/// </remarks>
public sealed class DependencyGraph
{
    private readonly string[] _names;
    private readonly int[] _starts;
    private readonly int[] _targets;

    public DependencyGraph(string[] names, int[] starts, int[] targets)
    {
        ArgumentNullException.ThrowIfNull(names);
        ArgumentNullException.ThrowIfNull(starts);
        ArgumentNullException.ThrowIfNull(targets);
        Check(names, starts, targets);
        _names = names;
        _starts = starts;
        _targets = targets;
    }

    public int VertexCount => _names.Length;

    public int EdgeCount => _targets.Length;

    public string Name(int vertex) => _names[vertex];

    public int OutDegree(int vertex) => _starts[vertex + 1] - _starts[vertex];

    /// <summary>The vertices that <paramref name="vertex"/> depends on, in ascending order.</summary>
    public ReadOnlySpan<int> Targets(int vertex) => _targets.AsSpan(_starts[vertex], OutDegree(vertex));

    /// <summary>The vertex of that name, or null when there is none.</summary>
    public int? Find(string name)
    {
        var index = Array.BinarySearch(_names, name, StringComparer.Ordinal);
        return index >= 0 ? index : null;
    }

    /// <summary>The same graph with every edge turned round: its targets are the packages that depend on a vertex.</summary>
    public DependencyGraph Transpose()
    {
        var starts = new int[_names.Length + 1];
        foreach (var target in _targets)
            starts[target + 1]++;
        for (var vertex = 0; vertex < _names.Length; vertex++)
            starts[vertex + 1] += starts[vertex];
        var next = starts.AsSpan(0, _names.Length).ToArray();
        var targets = new int[_targets.Length];
        // Sources are visited in ascending order, so each transposed row comes out ascending too.
        for (var source = 0; source < _names.Length; source++)
        {
            foreach (var target in Targets(source))
                targets[next[target]++] = source;
        }

        return new DependencyGraph(_names, starts, targets);
    }

    private static void Check(string[] names, int[] starts, int[] targets)
    {
        if (starts.Length != names.Length + 1 || starts[0] != 0 || starts[^1] != targets.Length)
            throw new ArgumentException("The row starts do not fit the names and targets.", nameof(starts));
        for (var vertex = 0; vertex < names.Length; vertex++)
        {
            if (vertex > 0 && string.CompareOrdinal(names[vertex - 1], names[vertex]) >= 0)
                throw new ArgumentException($"The names are not unique and in ordinal order at '{names[vertex]}'.", nameof(names));
            if (starts[vertex + 1] < starts[vertex])
                throw new ArgumentException($"The row of vertex {vertex} ends before it starts.", nameof(starts));
            var previous = -1;
            for (var edge = starts[vertex]; edge < starts[vertex + 1]; edge++)
            {
                var target = targets[edge];
                if (target <= previous || target >= names.Length || target == vertex)
                    throw new ArgumentException($"Vertex {vertex} has target {target}, which is repeated, out of order, out of range or itself.", nameof(targets));
                previous = target;
            }
        }
    }
}
