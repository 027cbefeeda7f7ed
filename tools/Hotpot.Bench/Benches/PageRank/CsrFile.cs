using Hotpot.Graph.Storage;

namespace Hotpot.Bench.Benches.PageRank;

/// <summary>The CSR of a graph that lies in one partition, for the peer: the same bytes that the dataset holds.</summary>
internal sealed unsafe class CsrFile : IDisposable
{
    private readonly MappedFile _file;

    public CsrFile(string path)
    {
        _file = new MappedFile(path);
        var counts = (ulong*)_file.Start;
        VertexCount = (uint)counts[0];
        Rows = (uint)counts[1];
        RowStart = (uint*)(_file.Start + MappedFile.AlignUp(3 * sizeof(ulong)));
        Source = After(RowStart, Rows + 1L);
        OutDegree = After(Source, (long)counts[2]);
        Id = After(OutDegree, Rows);

        static uint* After(uint* array, long count) => (uint*)((byte*)array + MappedFile.AlignUp(count * sizeof(uint)));
    }

    public uint VertexCount { get; }

    /// <summary>Vertices with edges.</summary>
    public uint Rows { get; }

    public uint* RowStart { get; }

    public uint* Source { get; }

    public uint* OutDegree { get; }

    public uint* Id { get; }

    public static void Write(string path, GraphRoot* root)
    {
        var partition = root->Partitions;
        ulong* counts = stackalloc ulong[] { root->VertexCount, partition->MasterCount, partition->EdgeCount };
        MappedFile.Write(
            path, ((nint)counts, 3 * sizeof(ulong)), Array(partition->RowStart, partition->RowCount + 1L), Array(partition->Source, partition->EdgeCount),
            Array(partition->OutDegree, partition->MasterCount), Array(partition->Id, partition->MasterCount));

        static (nint Start, long Bytes) Array(uint* start, long count) => ((nint)start, count * sizeof(uint));
    }

    public void Dispose() => _file.Dispose();
}
