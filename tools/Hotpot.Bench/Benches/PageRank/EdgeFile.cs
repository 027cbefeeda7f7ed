using Hotpot.Graph.Loading;

namespace Hotpot.Bench.Benches.PageRank;

/// <summary>The generated edges, for the nodes that load them: vertices and edges as two words, then sources, then targets.</summary>
internal static unsafe class EdgeFile
{
    public static void Write(string path, EdgeList edges)
    {
        ulong* counts = stackalloc ulong[] { edges.VertexCount, (ulong)edges.EdgeCount };
        MappedFile.Write(path, ((nint)counts, 2 * sizeof(ulong)), ((nint)edges.From, edges.EdgeCount * sizeof(uint)), ((nint)edges.To, edges.EdgeCount * sizeof(uint)));
    }

    public static EdgeList Map(string path)
    {
        var file = new MappedFile(path);
        var counts = (ulong*)file.Start;
        var edgeCount = (long)counts[1];
        var from = (uint*)(file.Start + MappedFile.AlignUp(2 * sizeof(ulong)));
        var to = (uint*)((byte*)from + MappedFile.AlignUp(edgeCount * sizeof(uint)));
        return new EdgeList((uint)counts[0], edgeCount, from, to, null, file);
    }
}
