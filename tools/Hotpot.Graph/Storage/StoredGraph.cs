using Hotpot.Clients;
using Hotpot.Graph.Loading;

namespace Hotpot.Graph.Storage;

/// <summary>A graph in a dataset: created and loaded once, and opened by any node for as long as the dataset is there.</summary>
/// <remarks>
/// Loading: one node creates the dataset; then each partition is written by some node, best by the one that will compute on it, which so becomes the owner of its chunks;
/// at last one node writes the root. Until then the dataset holds no graph, and a load that was interrupted can begin again.
/// </remarks>
public sealed class StoredGraph : IDisposable
{
    // Below what one transaction may carry.
    private const int WriteBytes = 16 << 20;

    private readonly Mapping _mapping;

    private unsafe StoredGraph(Dataset dataset, Mapping mapping)
    {
        Dataset = dataset;
        _mapping = mapping;
        Root = RootAt(mapping.Pointer<byte>(0));
    }

    public Dataset Dataset { get; }

    public Mapping Mapping => _mapping;

    public unsafe GraphRoot* Root { get; }

    public static Task<Dataset> CreateAsync(IHotpot hotpot, string name, GraphPlan plan, DatasetOptions options, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(hotpot);
        ArgumentNullException.ThrowIfNull(plan);
        return hotpot.CreateDatasetAsync(name, plan.Bytes, options, cancellation);
    }

    /// <summary>Commits what of one partition never changes.</summary>
    public static async Task WriteAsync(Dataset dataset, GraphPlan plan, EdgeList edges, int partition, CommitOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(dataset);
        using var image = new PartitionImage(plan, edges, partition);
        var piece = new byte[(int)Math.Min(WriteBytes, image.Length)];
        for (long done = 0; done < image.Length;)
        {
            var length = (int)Math.Min(WriteBytes, image.Length - done);
            image.Copy(done, piece.AsSpan(0, length));
            await dataset.WriteAsync(image.Offset + done, piece.AsMemory(0, length), options).ConfigureAwait(false);
            done += length;
        }
    }

    /// <summary>Commits the root: from now on the dataset holds a graph.</summary>
    public static Task WriteRootAsync(Dataset dataset, GraphPlan plan, CommitOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(dataset);
        return dataset.WriteAsync(0, RootImage.Make(plan, dataset.BaseAddress), options);
    }

    /// <exception cref="GraphException">The dataset holds no graph.</exception>
    public static async Task<StoredGraph> OpenAsync(IHotpot hotpot, string name, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(hotpot);
        var dataset = await hotpot.OpenAsync(name, cancellation).ConfigureAwait(false);
        await dataset.PrefetchAsync(new ByteRange(0, Limits.PageBytes), cancellationToken: cancellation).ConfigureAwait(false);
        var mapping = dataset.Map();
        try
        {
            return new StoredGraph(dataset, mapping);
        }
        catch
        {
            mapping.Dispose();
            throw;
        }
    }

    /// <summary>The root of the graph that lies at an address.</summary>
    public static unsafe GraphRoot* RootAt(byte* address)
    {
        var root = (GraphRoot*)address;
        return root->Magic == GraphRoot.MagicValue ? root : throw new GraphException("The dataset does not hold a graph, or its loading did not end; load it first.");
    }

    /// <summary>Fetches a partition's edges, so that the first step does not wait for them page by page.</summary>
    public async Task PrefetchAsync(int partition)
    {
        foreach (var range in RangesOf(partition))
            await Dataset.PrefetchAsync(range, TimeSpan.FromMinutes(2)).ConfigureAwait(false);
    }

    public void Dispose() => _mapping.Dispose();

    private unsafe List<ByteRange> RangesOf(int partition)
    {
        var part = Root->Partitions + partition;
        List<ByteRange> ranges = [];
        Add(part->RowStart, part->RowCount + 1L);
        Add(part->Source, part->EdgeCount);
        Add(part->Weight, part->EdgeCount);
        Add(part->ScatterStart, part->LocalCount + 1L);
        Add(part->ScatterRow, part->EdgeCount);
        Add(part->Id, part->MasterCount);
        Add(part->OutDegree, part->MasterCount);
        return ranges;

        void Add(uint* array, long count)
        {
            if (array != null && count > 0)
                ranges.Add(new ByteRange(_mapping.OffsetOf((ulong)array), count * sizeof(uint)));
        }
    }
}
