using Hotpot.Bench.Harness;
using Hotpot.Clients;
using Hotpot.Graph.Loading;
using Hotpot.Graph.Storage;
using Hotpot.Grains;

namespace Hotpot.Bench.Benches.PageRank;

// PageRank on a Kronecker graph: the engine of Hotpot.Graph on one node against the same algorithm in C++, and on several nodes against one.
//
// One cluster for each placement. The edges are generated once, into a file that every node maps; each node cuts and loads its own partition. The graph in one partition stays
// in the cluster, because it is what the runs on several nodes are compared with; it is also what the C++ side reads, from a copy in a file.
//
// A time is that of one step: gather, exchange, apply. The final commit of the ranks is told beside it. Degree 1: the graph can be loaded again.
internal sealed class PageRankBench : IBenchmark
{
    // Bench against bench: the C++ side may be 1.3 times as fast. For several nodes: three quarters of a core's worth for each node that has one.
    private const double OneNodeTarget = 1 / 1.3;
    private const double EfficiencyTarget = 0.75;

    private const int EdgeFactor = 16;
    private const int ScaleMax = 22;
    private const int ScaleMin = 18;

    // The file of edges 8, the peer's CSR 5, the graph three times (in 1, 2 and 4 partitions) in fronts and stores 3 * 2 * 5, what loading needs for a while 20; and as
    // much again for the others on the machine.
    private const long BytesForEdge = 2 * 63;
    private const ulong Seed = 22;

    // Single precision, and sums in another order: a rank is good to about 1e-5.
    private const double ErrorMax = 1e-3;

    private static readonly TimeSpan s_turnLimit = TimeSpan.FromMinutes(5);

    public string Name => "pagerank";

    public string What => "PageRank on a Kronecker graph, 1, 2 and 4 nodes, against C++ on one thread";

    public async Task RunAsync(BenchContext context, CancellationToken cancellation)
    {
        foreach (var placement in Placement.Both)
        {
            // On one core more nodes only take turns.
            int[] nodes = (context.Quick, placement == Placement.Pinned) switch
            {
                (true, true) => [1],
                (true, false) or (false, true) => [1, 2],
                (false, false) => [1, 2, 4],
            };
            await using var cluster = await BenchCluster.StartAsync(nodes.Max(), Medium.Pmem, placement, transports: null, cancellation);
            await new Session(context, cluster, context.Quick ? 18 : LargestScale(), context.Quick ? 10 : 5).RunAsync(nodes, cancellation);
        }
    }

    /// <summary>22 if there is memory for it.</summary>
    private static int LargestScale()
    {
        var available = GC.GetGCMemoryInfo() is var info ? info.TotalAvailableMemoryBytes - info.MemoryLoadBytes : 0;
        var scale = ScaleMax;
        while (scale > ScaleMin && BytesForEdge * ((long)EdgeFactor << scale) > available)
            scale--;
        return scale;
    }

    private sealed class Session(BenchContext context, BenchCluster cluster, int scale, int steps)
    {
        private string EdgesPath => Path.Combine(cluster.Folder.Path, "edges");

        private string CsrPath => Path.Combine(cluster.Folder.Path, "csr");

        public async Task RunAsync(int[] nodeCounts, CancellationToken cancellation)
        {
            using (var edges = Kronecker.Generate(scale, EdgeFactor, Seed))
            {
                EdgeFile.Write(EdgesPath, edges);
                foreach (var nodes in nodeCounts)
                    await LoadAsync(edges, nodes, cancellation);
            }

            var alone = await SideAsync(1);
            foreach (var nodes in nodeCounts)
                context.Report.Add(nodes == 1 ? await AgainstNativeAsync(alone, cancellation) : await AgainstOneAsync(nodes, alone, cancellation));
        }

        private static string NameOf(int partitions) => $"kronecker in {partitions}";

        private async Task LoadAsync(EdgeList edges, int partitions, CancellationToken cancellation)
        {
            var plan = GraphLoadWorkload.Plan(edges, partitions);
            var dataset = await StoredGraph.CreateAsync(cluster.Hotpot, NameOf(partitions), plan, new DatasetOptions { ChunkBytes = GraphLoadWorkload.ChunkBytes }, cancellation);
            await context.Display.RunAsync($"Loading the graph into {partitions} partitions ({plan.Bytes >> 20} MiB, {plan.Replication:0.00} mirrors a vertex)", 1, _ =>
                Task.WhenAll(Enumerable.Range(0, partitions).Select(partition =>
                    cluster.On(partition).PrepareAsync($"load {partitions}", GraphLoadWorkload.Spec(NameOf(partitions), EdgesPath, partitions, partition)))));
            await StoredGraph.WriteRootAsync(dataset, plan);
            if (partitions == 1)
                WriteCsr(plan, edges);
        }

        /// <summary>The image once more, in this process, because only its arrays are wanted.</summary>
        private unsafe void WriteCsr(GraphPlan plan, EdgeList edges)
        {
            using var image = new PartitionImage(plan, edges, 0);
            fixed (byte* bytes = RootImage.Make(plan, (ulong)(image.Bytes - image.Offset)))
            {
                var root = (GraphRoot*)bytes;
                root->Partitions = (Partition*)(bytes + sizeof(GraphRoot));
                CsrFile.Write(CsrPath, root);
            }
        }

        private async Task<Side> SideAsync(int partitions)
        {
            var grains = Enumerable.Range(0, partitions).Select(cluster.On).ToArray();
            var key = $"rank {partitions}";
            await Task.WhenAll(grains.Select((grain, partition) => grain.PrepareAsync(key, PageRankWorkload.Spec(NameOf(partitions), partitions, partition, steps))));
            return new Side($"{partitions} nodes", async _ =>
            {
                var sent = await BytesSentAsync();
                var turns = await Task.WhenAll(grains.Select(grain => grain.RunAsync(key, steps, s_turnLimit)));
                turns[0].More["mib_moved_per_step"] = (await BytesSentAsync() - sent) / steps / (1 << 20);
                return turns[0];
            });
        }

        private async Task<Row> AgainstNativeAsync(Side alone, CancellationToken cancellation)
        {
            var native = await cluster.SideAsync(0, "C++ -O3, one thread", NativePageRankWorkload.Spec(CsrPath, steps), steps, s_turnLimit);
            var row = await Duel.RunAsync(About(1), alone, native, OneNodeTarget, Duel.TurnsMin, cancellation);
            return await CheckedAsync(row, 1);
        }

        private async Task<Row> AgainstOneAsync(int nodes, Side alone, CancellationToken cancellation)
        {
            // More nodes than cores are only told.
            double? target = cluster.Placement == Placement.Free && nodes <= Environment.ProcessorCount ? nodes * EfficiencyTarget : null;
            var row = await Duel.RunAsync(About(nodes), await SideAsync(nodes), alone with { Name = "1 node" }, target, Duel.TurnsMin, cancellation);
            return await CheckedAsync(row, nodes);
        }

        private Row About(int nodes) => new()
        {
            Case = $"scale {scale}, {nodes} nodes, one step", Placement = cluster.Placement.Name, Transport = cluster.TransportName, Medium = "pmem", N = 0,
        };

        private async Task<Row> CheckedAsync(Row row, int partitions)
        {
            var check = await cluster.SideAsync(0, "check", NativePageRankWorkload.Spec(CsrPath, steps, NameOf(partitions)), steps, s_turnLimit);
            var error = (await check.RunAsync(CancellationToken.None)).More["largest_relative_error"];
            if (error > ErrorMax)
                throw new InvalidDataException($"The ranks of {partitions} nodes differ from those of C++ by {error:0.0e+0} of their value.");
            return row with { More = new Dictionary<string, double>(row.More ?? new Dictionary<string, double>()) { ["largest_relative_error"] = error } };
        }

        private async Task<double> BytesSentAsync()
        {
            double sum = 0;
            foreach (var node in cluster.Nodes)
                sum += (await cluster.Client.Grains.NodeGrain(node.Id).StatAsync()).Statistics.BytesSent;
            return sum;
        }
    }
}
