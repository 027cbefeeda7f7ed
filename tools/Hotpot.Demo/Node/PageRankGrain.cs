using Hotpot.Clients;
using Hotpot.Demo.Graph;
using Hotpot.Demo.Measuring;
using Hotpot.Demo.Ranking;
using Hotpot.Grains.Placement;
using Hotpot.PackageGraph;

namespace Hotpot.Demo.Node;

/// <summary>
/// Everything that touches the mapping runs on the thread pool, not in the grain's turn: a load may wait for a page, and the grain
/// must go on telling how far it has come.
/// </summary>
[OnNode]
internal sealed class PageRankGrain(IHotpot hotpot, MappedDatasets datasets) : Grain, IPageRankGrain
{
    // One commit of the load; several chunks of the dataset, far below what a transaction may carry.
    private const int LoadPieceBytes = 1 << 20;

    // Written by the call that runs, read by GetProgressAsync, which interleaves with it.
    private double _progress;

    public async Task LoadAsync(string dataset, string graphFile)
    {
        _progress = 0;
        var mapped = await datasets.OpenAsync(dataset);
        var loaded = await Task.Run(() => Store(mapped, graphFile));
        // The root is in the first piece and comes last: whoever finds a root finds all that it points to.
        for (var offset = loaded; offset > 0;)
        {
            var length = Math.Min(LoadPieceBytes, offset);
            offset -= length;
            await mapped.Dataset.CommitAsync(new ByteRange(offset, length));
            _progress += length;
        }
    }

    public async Task<int> RankAsync(RankRequest request)
    {
        _progress = 0;
        var mapped = await datasets.OpenAsync(request.Dataset);
        var barrier = hotpot.Barrier(request.Barrier, request.Shares);
        var share = await Task.Run(() => Share(mapped, request));
        await Task.Run(share.Start);
        var options = new CommitOptions { MinDegree = request.MinDegree };
        await CommitAsync(mapped, share, 0, options);
        await barrier.ArriveAndWaitAsync();
        var iteration = 0;
        while (iteration < request.Iterations && !await Task.Run(() => share.IsSettled(iteration)))
        {
            await Task.Run(() => share.Compute(iteration));
            iteration++;
            await CommitAsync(mapped, share, iteration, options);
            await barrier.ArriveAndWaitAsync();
            _progress = iteration;
        }

        return iteration;
    }

    public Task<double> GetProgressAsync() => Task.FromResult(_progress);

    public async Task<RankedPackage[]> TopAsync(string dataset, int iterations, int count)
    {
        var mapped = await datasets.OpenAsync(dataset);
        return await Task.Run(() => Top(mapped, iterations, count));
    }

    public async Task<long> CountDifferencesAsync(string dataset, string file)
    {
        var mapped = await datasets.OpenAsync(dataset);
        // Pages that this process has stored to are dropped first, so that what is read is the node's committed copy.
        await mapped.Dataset.DiscardAsync();
        return await Task.Run(() => ByteComparison.CountDifferences(mapped.Mapping, file));
    }

    public async Task<LoadMeasurement> MeasureLoadsAsync(string dataset, long bytes)
    {
        var mapped = await datasets.OpenAsync(dataset);
        return await Task.Run(() => MemoryMeasurements.Loads(mapped.Mapping, bytes));
    }

    public async Task FillPagesAsync(string dataset)
    {
        var opened = await hotpot.OpenAsync(dataset);
        await opened.WriteAsync(0, MemoryMeasurements.NumberedPages(opened.Size));
    }

    public async Task<double> MeasureMissesAsync(string dataset, int touches)
    {
        var mapped = await datasets.OpenAsync(dataset);
        return await Task.Run(() => MemoryMeasurements.MedianMissUs(mapped.Mapping, touches));
    }

    public async Task<double> MeasureCommitsAsync(string dataset, int commits)
    {
        var mapped = await datasets.OpenAsync(dataset);
        return await CommitMeasurement.MedianUsAsync(mapped.Dataset, mapped.Mapping, commits);
    }

    private static unsafe long Store(MappedDataset mapped, string graphFile)
    {
        var graph = DependencyGraphFile.Read(graphFile);
        GraphImage.Write(graph, mapped.Address, mapped.Mapping.Size);
        return GraphImage.LoadedBytes(graph);
    }

    private static unsafe PageRankShare Share(MappedDataset mapped, RankRequest request) =>
        new(GraphImage.Open(mapped.Address), request.Share, request.Shares);

    private static unsafe RankedPackage[] Top(MappedDataset mapped, int iterations, int count)
    {
        var root = GraphImage.Open(mapped.Address);
        return [.. TopPackages.Pick(root, new PageRankShare(root, 0, 1).Ranks(iterations), count)];
    }

    private static Task CommitAsync(MappedDataset mapped, PageRankShare share, int iteration, CommitOptions options)
    {
        share.Written(iteration, out var ranks, out var rankBytes, out var sums, out var sumBytes);
        return mapped.Dataset.CommitAsync([mapped.RangeOf(ranks, rankBytes), mapped.RangeOf(sums, sumBytes)], options);
    }
}
