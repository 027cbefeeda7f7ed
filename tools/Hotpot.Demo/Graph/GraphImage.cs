using System.Runtime.InteropServices;
using System.Text;
using Hotpot.PackageGraph;

namespace Hotpot.Demo.Graph;

/// <summary>One package as it lies in the dataset.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct Vertex
{
    public byte* Name;

    /// <summary>The packages that depend on this one.</summary>
    public Vertex** Dependents;
    public int NameBytes;
    public int DependentCount;

    /// <summary>How many packages this one depends on; its rank is divided among them.</summary>
    public int DependencyCount;
    public int Reserved;
}

/// <summary>What one node found in one iteration over its share.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct ShareSums
{
    /// <summary>Rank of the share's packages that depend on nothing; it is spread over all packages.</summary>
    public double Dangling;

    /// <summary>Sum of the absolute changes against the iteration before.</summary>
    public double Delta;
}

/// <summary>The first bytes of the dataset: where everything else is.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct GraphRoot
{
    public ulong Magic;
    public int VertexCount;
    public int EdgeCount;
    public Vertex* Vertices;
    public double* EvenRanks;
    public double* OddRanks;
    public ShareSums* EvenSums;
    public ShareSums* OddSums;
}

/// <summary>The package graph as a linked structure of raw pointers.</summary>
/// <remarks>
/// Problem: the demo shall show that a pointer stored on one node can be followed on every other. So the graph is not kept as
/// indexes but as what a program would build in its own memory: a root that points at vertices, vertices that point at their name and
/// at an array of pointers to the vertices that depend on them.
///
/// Scheme: the regions follow each other from the dataset's base address, each on a boundary of <see cref="RegionAlignment"/>:
///
///   root        GraphRoot
///   vertices    Vertex[VertexCount]
///   dependents  Vertex*[EdgeCount], the dependents of vertex 0, then of vertex 1, ...
///   names       UTF-8, one after the other
///   even ranks  double[VertexCount], read in even iterations and written in odd ones
///   odd ranks   double[VertexCount], the other way round
///   sums        ShareSums[SharesMax] for even, then for odd iterations
///
/// The first four are written once by the loading node. The boundary is that of the dataset's chunks, so that ranks and sums lie in
/// chunks that the loader never touched: those belong to whoever commits them first, and commits then have several owners.
/// Shares of ranks and of sums of different nodes do meet within one page, on purpose: their commits are merged by bytes.
///
/// Potential weakness: the addresses are good for as long as the dataset keeps its base address, which is for ever; a copy of the bytes
/// at another address is of no use.
/// </remarks>
public static unsafe class GraphImage
{
    public const int RegionAlignment = 256 * 1024;
    public const int SharesMax = 64;
    private const ulong Magic = 0x3148_5041_5247_5048; // "HPGRAPH1" as eight little-endian bytes.

    /// <summary>The bytes a dataset needs for this graph.</summary>
    public static long SizeFor(DependencyGraph graph) => Layout.For(graph).End;

    /// <summary>The bytes that <see cref="Write"/> fills; the rest is ranks and sums.</summary>
    public static long LoadedBytes(DependencyGraph graph) => Layout.For(graph).EvenRanks;

    /// <summary>
    /// Stores the graph at <paramref name="target"/>, whose address is <paramref name="target"/> itself: the pointers written are the ones that will be
    /// followed. The root comes last.
    /// </summary>
    public static void Write(DependencyGraph graph, byte* target, long size)
    {
        ArgumentNullException.ThrowIfNull(graph);
        var layout = Layout.For(graph);
        if (size < layout.End)
            throw new ArgumentOutOfRangeException(nameof(size), size, $"The graph needs {layout.End} bytes.");
        var dependents = graph.Transpose();
        var vertices = (Vertex*)(target + layout.Vertices);
        var pointers = (Vertex**)(target + layout.Dependents);
        var names = target + layout.Names;
        for (var index = 0; index < graph.VertexCount; index++)
        {
            var vertex = vertices + index;
            var name = graph.Name(index);
            vertex->Name = names;
            vertex->NameBytes = Encoding.UTF8.GetBytes(name, new Span<byte>(names, Encoding.UTF8.GetByteCount(name)));
            names += vertex->NameBytes;
            vertex->Dependents = pointers;
            vertex->DependentCount = dependents.OutDegree(index);
            vertex->DependencyCount = graph.OutDegree(index);
            foreach (var dependent in dependents.Targets(index))
                *pointers++ = vertices + dependent;
        }

        var root = (GraphRoot*)target;
        root->VertexCount = graph.VertexCount;
        root->EdgeCount = graph.EdgeCount;
        root->Vertices = vertices;
        root->EvenRanks = (double*)(target + layout.EvenRanks);
        root->OddRanks = (double*)(target + layout.OddRanks);
        root->EvenSums = (ShareSums*)(target + layout.Sums);
        root->OddSums = root->EvenSums + SharesMax;
        root->Magic = Magic;
    }

    /// <summary>The root of a loaded graph, found at the dataset's base address.</summary>
    public static GraphRoot* Open(byte* address)
    {
        var root = (GraphRoot*)address;
        return root->Magic == Magic ? root : throw new InvalidDataException("The dataset does not hold a package graph; load it first.");
    }

    public static string NameOf(Vertex* vertex) => Encoding.UTF8.GetString(vertex->Name, vertex->NameBytes);

    private readonly record struct Layout(long Vertices, long Dependents, long Names, long EvenRanks, long OddRanks, long Sums, long End)
    {
        public static Layout For(DependencyGraph graph)
        {
            long nameBytes = 0;
            for (var vertex = 0; vertex < graph.VertexCount; vertex++)
                nameBytes += Encoding.UTF8.GetByteCount(graph.Name(vertex));
            var vertices = Align(sizeof(GraphRoot));
            var dependents = Align(vertices + ((long)graph.VertexCount * sizeof(Vertex)));
            var names = Align(dependents + ((long)graph.EdgeCount * sizeof(Vertex*)));
            var evenRanks = Align(names + nameBytes);
            var oddRanks = Align(evenRanks + ((long)graph.VertexCount * sizeof(double)));
            var sums = Align(oddRanks + ((long)graph.VertexCount * sizeof(double)));
            return new Layout(vertices, dependents, names, evenRanks, oddRanks, sums, Align(sums + (2 * SharesMax * sizeof(ShareSums))));
        }

        private static long Align(long offset) => (offset + RegionAlignment - 1) / RegionAlignment * RegionAlignment;
    }
}
