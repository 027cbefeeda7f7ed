using System.Runtime.InteropServices;

namespace Hotpot.Bench.Benches.PageRank;

/// <summary>The peer: Native/PageRank/pagerank.cpp. One caller at a time.</summary>
internal sealed unsafe partial class NativePageRank : IDisposable
{
    private const string Library = "hotpot-pagerank";

    private readonly CsrFile _graph;

    // Freed, and set to zero, by Dispose.
    private nint _rank;

    /// <param name="graph">Is disposed with this.</param>
    public NativePageRank(CsrFile graph)
    {
        _graph = graph;
        _rank = hotpot_pagerank_create(graph.RowStart, graph.Source, graph.OutDegree, graph.Rows, graph.VertexCount);
        if (_rank == 0)
            throw new InsufficientMemoryException("There is no memory for the peer's ranks; choose a smaller graph.");
    }

    /// <summary>By row of the graph.</summary>
    public ReadOnlySpan<float> Scores => new(hotpot_pagerank_scores(_rank), (int)_graph.Rows);

    public void Start() => hotpot_pagerank_start(_rank, _graph.VertexCount);

    public double Step() => hotpot_pagerank_step(_rank);

    public void Dispose()
    {
        if (_rank == 0)
            return;
        hotpot_pagerank_destroy(_rank);
        _rank = 0;
        _graph.Dispose();
    }

    [LibraryImport(Library)]
    private static partial nint hotpot_pagerank_create(uint* rowStart, uint* source, uint* outDegree, uint rows, uint vertices);

    [LibraryImport(Library)]
    private static partial void hotpot_pagerank_start(nint rank, uint vertices);

    [LibraryImport(Library)]
    private static partial double hotpot_pagerank_step(nint rank);

    [LibraryImport(Library)]
    private static partial float* hotpot_pagerank_scores(nint rank);

    [LibraryImport(Library)]
    private static partial void hotpot_pagerank_destroy(nint rank);
}
