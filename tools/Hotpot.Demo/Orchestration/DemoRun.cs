using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using Hotpot.Clients;
using Hotpot.Demo.Graph;
using Hotpot.Demo.Node;
using Hotpot.Demo.Ranking;
using Hotpot.PackageGraph;
using Hotpot.Silo;
using Hotpot.Terminal;

namespace Hotpot.Demo.Orchestration;

/// <summary>The demo from beginning to end.</summary>
/// <remarks>
/// What it shows, in this order:
///   1. three silo processes form a cluster; one stores the graph of Debian's packages in a dataset as a structure of raw pointers;
///   2. all three rank the packages together: each follows those pointers, stores its share of ranks, commits it, and meets the others
///      at a barrier;
///   3. the ranks are those of a plain computation in one process's memory;
///   4. the silo that owns most chunks is killed; both survivors read every byte again, and none differs;
///   5. the survivors go on working and commit new ranks;
///   6. the killed silo is started again, catches up with what it has missed, and reads every byte too.
/// Then it says what a load, a miss and a commit cost here.
///
/// The orchestrator runs no silo. It compares ranks with bytes that it reads as a remote client, and takes the copy for step 4 in
/// the same way, so the nodes do not check themselves. The nodes compare that copy with their own mapping by plain loads.
///
/// Potential weakness: with three nodes and degree 3 every node has a replica of every byte, so step 4 shows that replicas are whole and that
/// ownership moves, not that pages are fetched from another node after a death; the miss measurement and the cluster tests do that.
/// </remarks>
internal sealed class DemoRun(DemoOptions options, ProgressDisplay display)
{
    private const int NodeCount = 3;
    private const int TopCount = 10;
    private const string PackagesDataset = "debian12-packages";
    private const string MissDataset = "miss-measurement";
    private const string CommitDataset = "commit-measurement";

    // Few enough that every rank still moves: the ranks committed while a node is away differ from those it has.
    private const int IterationsWhileAway = 7;

    // 4096 pages, of which half are touched: read-ahead meets few of the others.
    private const long MissDatasetBytes = 16L << 20;
    private const int Touches = 2000;
    private const long CommitDatasetBytes = 4L << 20;
    private const int Commits = 500;

    private static readonly TimeSpan s_healTimeout = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan s_pollInterval = TimeSpan.FromMilliseconds(10);

    public async Task<DemoResult> RunAsync(CancellationToken cancellation)
    {
        using var directory = ClusterFolder.Create("demo", options.Data, options.Keep);
        var graphFile = Path.Combine(AppContext.BaseDirectory, "data", "debian12-packages.graph.br");
        var graph = DependencyGraphFile.Read(graphFile);
        display.Line(Invariant($"Debian 12: {graph.VertexCount:N0} packages, {graph.EdgeCount:N0} dependencies."));

        var nodes = new NodeProcess[NodeCount];
        try
        {
            await StartNodesAsync(directory, nodes, cancellation).ConfigureAwait(false);
            await using var cluster = await ClusterClient.ConnectAsync(directory, cancellation).ConfigureAwait(false);
            return await RunAsync(directory, graph, graphFile, nodes, cluster, cancellation).ConfigureAwait(false);
        }
        finally
        {
            foreach (var node in nodes.Where(node => node is not null))
                await node.DisposeAsync().ConfigureAwait(false);
            if (options.Keep)
                display.Line($"The nodes' files are in {directory.Path}.");
        }
    }

    private async Task<DemoResult> RunAsync(
        ClusterFolder directory, DependencyGraph graph, string graphFile, NodeProcess[] nodes, ClusterClient cluster, CancellationToken cancellation)
    {
        var dataset = await CreateAsync(cluster, PackagesDataset, GraphImage.SizeFor(graph), NodeCount, GraphImage.RegionAlignment, cancellation).ConfigureAwait(false);
        await LoadAsync(cluster, dataset, graph, graphFile, nodes[0]).ConfigureAwait(false);
        var (iterations, maxError) = await RankAsync(cluster, dataset, graph, nodes, options.Iterations, cancellation).ConfigureAwait(false);
        var top = await On(cluster, nodes[^1]).TopAsync(PackagesDataset, iterations, TopCount).ConfigureAwait(false);
        display.Table(
            ["", "package", "rank"],
            top.Select((package, place) => (string[])[Invariant($"{place + 1}"), package.Name, Invariant($"{package.Rank:0.000000}")]).ToArray());

        var measured = await MeasureAsync(cluster, graph, nodes, cancellation).ConfigureAwait(false);
        var moved = await BytesSentAsync(cluster, nodes).ConfigureAwait(false);
        await CopyAsync(dataset, directory, cancellation).ConfigureAwait(false);

        var victim = await FindLargestOwnerAsync(dataset, nodes, cancellation).ConfigureAwait(false);
        var survivors = nodes.Where(node => node != victim).ToArray();
        var movedBySurvivors = await BytesSentAsync(cluster, survivors).ConfigureAwait(false);
        var promoted = await KillAsync(dataset, victim, cancellation).ConfigureAwait(false);
        var lost = await CountLostBytesAsync(cluster, directory, survivors).ConfigureAwait(false);

        var (_, errorWhileAway) = await RankAsync(cluster, dataset, graph, survivors, IterationsWhileAway, cancellation).ConfigureAwait(false);
        maxError = Math.Max(maxError, errorWhileAway);
        await CopyAsync(dataset, directory, cancellation).ConfigureAwait(false);
        var caughtUp = await RestartAsync(directory, dataset, nodes, victim.Index, cancellation).ConfigureAwait(false);
        lost += await CountLostBytesAsync(cluster, directory, [nodes[victim.Index]]).ConfigureAwait(false);
        moved += await BytesSentAsync(cluster, nodes).ConfigureAwait(false) - movedBySurvivors;

        var result = new DemoResult(
            graph.VertexCount, graph.EdgeCount, top, iterations, maxError, lost, measured.Loads.MappedNs, measured.Loads.OrdinaryNs, measured.MissUs, measured.CommitUs,
            moved, promoted.TotalMilliseconds, caughtUp.TotalMilliseconds, NodeCount, directory.Medium.ToString().ToLowerInvariant(), HotpotClustering.HostName);
        Summarise(result);
        return result;
    }

    private async Task StartNodesAsync(ClusterFolder directory, NodeProcess[] nodes, CancellationToken cancellation)
    {
        var started = Stopwatch.GetTimestamp();
        await display.RunAsync($"Starting {nodes.Length} silos", nodes.Length, async progress =>
        {
            // One after the other: together they would only fight for the same cores, and a failure is easier to read.
            for (var index = 0; index < nodes.Length; index++)
            {
                nodes[index] = await NodeProcess.StartAsync(directory, index, cancellation).ConfigureAwait(false);
                progress.Report(index + 1);
            }
        }).ConfigureAwait(false);
        display.Line(Invariant($"Started {nodes.Length} silos (processes {string.Join(", ", nodes.Select(node => node.ProcessId))}) on {HotpotClustering.HostName}, medium {directory.Medium.ToString().ToLowerInvariant()}, in {Seconds(started)} s."));
    }

    private static Task<Dataset> CreateAsync(ClusterClient cluster, string name, long size, int degree, long chunkBytes, CancellationToken cancellation) =>
        cluster.Hotpot.CreateDatasetAsync(name, size, new DatasetOptions { Degree = degree, ChunkBytes = chunkBytes }, cancellation);

    private async Task LoadAsync(ClusterClient cluster, Dataset dataset, DependencyGraph graph, string graphFile, NodeProcess loader)
    {
        var started = Stopwatch.GetTimestamp();
        var bytes = GraphImage.LoadedBytes(graph);
        await RunWithProgressAsync($"Loading the graph on {loader.Name}", bytes, On(cluster, loader), On(cluster, loader).LoadAsync(PackagesDataset, graphFile)).ConfigureAwait(false);
        display.Line(Invariant($"Loaded {bytes / 1e6:0.0} MB of linked pointers at 0x{dataset.BaseAddress:x} from {loader.Name}, durable on {NodeCount} nodes, in {Seconds(started)} s."));
    }

    /// <summary>Lets these nodes compute the ranks from the beginning, and compares what they have committed with a plain computation.</summary>
    private async Task<(int Iterations, double MaxError)> RankAsync(
        ClusterClient cluster, Dataset dataset, DependencyGraph graph, NodeProcess[] nodes, int limit, CancellationToken cancellation)
    {
        var started = Stopwatch.GetTimestamp();
        var ranking = Task.WhenAll(nodes.Select((node, share) => On(cluster, node).RankAsync(new RankRequest
        {
            Dataset = PackagesDataset, Share = share, Shares = nodes.Length, Iterations = limit, Barrier = $"ranking on {nodes.Length} nodes", MinDegree = nodes.Length,
        })));
        await RunWithProgressAsync($"Ranking on {nodes.Length} nodes", limit, On(cluster, nodes[0]), ranking).ConfigureAwait(false);
        var iterations = await ranking.ConfigureAwait(false);
        if (iterations.Distinct().Count() != 1)
            throw new DemoException($"The nodes stopped after different numbers of iterations: {string.Join(", ", iterations)}.");
        var seconds = Seconds(started);
        var error = MaxError(await ReadAllAsync(dataset, cancellation).ConfigureAwait(false), dataset, graph, iterations[0]);
        display.Line(Invariant($"PageRank: {iterations[0]} iterations on {nodes.Length} nodes in {seconds} s; largest difference from a plain computation {error:0.0e+0}."));
        return (iterations[0], error);
    }

    private Task RunWithProgressAsync(string title, double total, IPageRankGrain grain, Task work) =>
        display.RunAsync(title, total, async progress =>
        {
            while (await Task.WhenAny(work, Task.Delay(TimeSpan.FromMilliseconds(100))).ConfigureAwait(false) != work)
                progress.Report(await grain.GetProgressAsync().ConfigureAwait(false));
            await work.ConfigureAwait(false);
        });

    /// <summary>The committed bytes, as a client sees them that runs no silo.</summary>
    private static Task<byte[]> ReadAllAsync(Dataset dataset, CancellationToken cancellation) => dataset.ReadAsync(0, checked((int)dataset.Size), cancellation);

    private static async Task CopyAsync(Dataset dataset, ClusterFolder directory, CancellationToken cancellation) =>
        await File.WriteAllBytesAsync(CopyFile(directory), await ReadAllAsync(dataset, cancellation).ConfigureAwait(false), cancellation).ConfigureAwait(false);

    private static unsafe double MaxError(byte[] bytes, Dataset dataset, DependencyGraph graph, int iterations)
    {
        var root = MemoryMarshal.Read<GraphRoot>(bytes);
        var offset = checked((int)((ulong)(iterations % 2 == 0 ? root.EvenRanks : root.OddRanks) - dataset.BaseAddress));
        var ranks = MemoryMarshal.Cast<byte, double>(bytes.AsSpan(offset, graph.VertexCount * sizeof(double)));
        var expected = PageRankReference.Compute(graph, iterations);
        var error = 0.0;
        for (var vertex = 0; vertex < expected.Length; vertex++)
        {
            // A rank that is no number must not pass as "no error".
            var difference = Math.Abs(expected[vertex] - ranks[vertex]);
            error = double.IsNaN(difference) ? double.PositiveInfinity : Math.Max(error, difference);
        }

        return error;
    }

    private async Task<Measurements> MeasureAsync(ClusterClient cluster, DependencyGraph graph, NodeProcess[] nodes, CancellationToken cancellation)
    {
        var measured = new Measurements();
        await display.RunAsync("Measuring", 3, async progress =>
        {
            measured.Loads = await On(cluster, nodes[1]).MeasureLoadsAsync(PackagesDataset, GraphImage.LoadedBytes(graph)).ConfigureAwait(false);
            progress.Report(1);
            await CreateAsync(cluster, MissDataset, MissDatasetBytes, degree: 1, DatasetOptions.Default.ChunkBytes, cancellation).ConfigureAwait(false);
            await On(cluster, nodes[0]).FillPagesAsync(MissDataset).ConfigureAwait(false);
            measured.MissUs = await On(cluster, nodes[1]).MeasureMissesAsync(MissDataset, Touches).ConfigureAwait(false);
            progress.Report(2);
            await CreateAsync(cluster, CommitDataset, CommitDatasetBytes, NodeCount, DatasetOptions.Default.ChunkBytes, cancellation).ConfigureAwait(false);
            measured.CommitUs = await On(cluster, nodes[0]).MeasureCommitsAsync(CommitDataset, Commits).ConfigureAwait(false);
            progress.Report(3);
        }).ConfigureAwait(false);
        return measured;
    }

    private async Task<NodeProcess> FindLargestOwnerAsync(Dataset dataset, NodeProcess[] nodes, CancellationToken cancellation)
    {
        var status = await dataset.StatAsync(cancellation).ConfigureAwait(false);
        var largest = status.Nodes.MaxBy(node => node.Statistics.ChunksOwned) ?? throw new DemoException("No node says what it holds of the dataset.");
        var victim = nodes.Single(node => node.Id == largest.Node);
        display.Line($"Chunks owned: {string.Join(", ", nodes.Select(node => $"{node.Name} {status.Nodes.FirstOrDefault(held => held.Node == node.Id)?.Statistics.ChunksOwned ?? 0}"))}.");
        return victim;
    }

    /// <summary>Kills the node and returns how long it took until every chunk had a new owner.</summary>
    private async Task<TimeSpan> KillAsync(Dataset dataset, NodeProcess victim, CancellationToken cancellation)
    {
        var started = Stopwatch.GetTimestamp();
        await victim.KillAsync().ConfigureAwait(false);
        await WaitForAsync(
            dataset, "Promoting replicas", status => !status.Health.Members.Contains(victim.Id) && status.Health.Recovering == 0, cancellation).ConfigureAwait(false);
        var promoted = Stopwatch.GetElapsedTime(started);
        display.Line(Invariant($"Killed {victim.Name} (process {victim.ProcessId}) with SIGKILL; the survivors owned every chunk after {promoted.TotalMilliseconds:0} ms."));
        return promoted;
    }

    /// <summary>Starts the killed node with its old data and returns how long it took until nothing was missing any more.</summary>
    private async Task<TimeSpan> RestartAsync(ClusterFolder directory, Dataset dataset, NodeProcess[] nodes, int index, CancellationToken cancellation)
    {
        var started = Stopwatch.GetTimestamp();
        await display.RunAsync($"Starting {nodes[index].Name} again", 1, async _ =>
        {
            var dead = nodes[index];
            nodes[index] = await NodeProcess.StartAsync(directory, index, cancellation).ConfigureAwait(false);
            await dead.DisposeAsync().ConfigureAwait(false);
        }).ConfigureAwait(false);
        await WaitForAsync(
            dataset, "Catching up", status => status.Health is { ReplicasMissing: 0, Recovering: 0, Joining: 0, Members.Length: NodeCount }, cancellation).ConfigureAwait(false);
        var caughtUp = Stopwatch.GetElapsedTime(started);
        display.Line(Invariant($"{nodes[index].Name} is back (process {nodes[index].ProcessId}); every chunk had its {NodeCount} copies again after {caughtUp.TotalMilliseconds:0} ms."));
        return caughtUp;
    }

    private Task WaitForAsync(Dataset dataset, string title, Func<DatasetStatus, bool> reached, CancellationToken cancellation) =>
        display.RunAsync(title, 1, async progress =>
        {
            using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
            limit.CancelAfter(s_healTimeout);
            DatasetStatus? status = null;
            try
            {
                while (!reached(status = await dataset.StatAsync(limit.Token).ConfigureAwait(false)))
                {
                    var wanted = (double)status.Health.Assigned * dataset.Description.Degree;
                    progress.Report(wanted == 0 ? 0 : (wanted - status.Health.ReplicasMissing) / wanted);
                    await Task.Delay(s_pollInterval, limit.Token).ConfigureAwait(false);
                }
            }
            catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
            {
                throw new DemoException($"{title} was not over within {s_healTimeout.TotalSeconds:0} s; the dataset's last state was {status?.Health}.");
            }
        });

    private async Task<long> CountLostBytesAsync(ClusterClient cluster, ClusterFolder directory, NodeProcess[] nodes)
    {
        long lost = 0;
        foreach (var node in nodes)
        {
            var differing = await On(cluster, node).CountDifferencesAsync(PackagesDataset, CopyFile(directory)).ConfigureAwait(false);
            display.Line(Invariant($"Read {new FileInfo(CopyFile(directory)).Length / 1e6:0.0} MB again on {node.Name}: {differing} bytes differ."));
            lost += differing;
        }

        return lost;
    }

    private void Summarise(DemoResult result) =>
        display.Table(
            ["measured", ""],
            [
                ["load, warm", Invariant($"{result.LoadNs:0.00} ns (ordinary memory {result.LoadPlainNs:0.00} ns)")],
                ["miss, page of another node", Invariant($"{result.MissUs:0.0} us")],
                [$"commit of 1 KiB, degree {NodeCount}", Invariant($"{result.CommitUs:0.0} us")],
                ["moved between nodes", Invariant($"{result.BytesMoved / 1e6:0.0} MB")],
                ["owner replaced after kill -9", Invariant($"{result.PromotedMs:0} ms")],
                ["restart to full degree", Invariant($"{result.CaughtUpMs:0} ms")],
                ["bytes lost", Invariant($"{result.LostBytes}")],
            ]);

    private static IPageRankGrain On(ClusterClient cluster, NodeProcess node) => cluster.On<IPageRankGrain>(node.Id);

    private static string CopyFile(ClusterFolder directory) => Path.Combine(directory.Path, "copy");

    /// <summary>Bytes that these nodes' data paths have sent to each other since they started.</summary>
    private static async Task<long> BytesSentAsync(ClusterClient cluster, IEnumerable<NodeProcess> nodes)
    {
        long sum = 0;
        foreach (var node in nodes)
            sum += (long)(await cluster.Grains.NodeGrain(node.Id).StatAsync().ConfigureAwait(false)).Statistics.BytesSent;
        return sum;
    }

    private static string Seconds(long started) => Invariant($"{Stopwatch.GetElapsedTime(started).TotalSeconds:0.0}");

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);

    /// <summary>Filled by MeasureAsync, one figure after the other.</summary>
    private sealed class Measurements
    {
        public LoadMeasurement Loads { get; set; } = new() { MappedNs = 0, OrdinaryNs = 0 };

        public double MissUs { get; set; }

        public double CommitUs { get; set; }
    }
}
