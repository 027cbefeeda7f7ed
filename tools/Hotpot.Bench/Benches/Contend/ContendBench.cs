using Hotpot.Bench.Benches.Commit;
using Hotpot.Bench.Harness;

namespace Hotpot.Bench.Benches.Contend;

// Nodes that commit to one page at the same time: other bytes of it, or the same. Two processors that fight for a page get less done than one alone; a system that
// moves whole pages does so too. Here a commit carries bytes, so three nodes together must do at least as many commits a second as one of them, the owner, alone.
internal sealed class ContendBench : IBenchmark
{
    private const int Nodes = 3;
    private const int Bytes = 64;

    public string Name => "contend";

    public string What => "three nodes that commit to one page, against one node";

    public async Task RunAsync(BenchContext context, CancellationToken cancellation)
    {
        foreach (var placement in Placement.Both)
        {
            foreach (var transports in context.Quick ? ["tcp"] : new[] { "tcp", null })
            {
                await using var cluster = await BenchCluster.StartAsync(Nodes, Medium.Pmem, placement, transports, cancellation, BenchCluster.NoMigration);
                foreach (var degree in context.Quick ? [3] : (int[])[3, 1])
                {
                    await RunAsync(context, cluster, degree, "other bytes", stride: Limits.PageBytes / Nodes, cancellation);
                    await RunAsync(context, cluster, degree, "the same bytes", stride: 0, cancellation);
                }
            }
        }
    }

    private static async Task RunAsync(BenchContext context, BenchCluster cluster, int degree, string what, int stride, CancellationToken cancellation)
    {
        var turn = TimeSpan.FromMilliseconds(context.Quick ? 150 : 400);
        var name = $"contend-{degree}-{stride}";
        await CommitBench.CreateAsync(cluster, name, degree, singleWriter: false, 0);
        var sides = new Side[Nodes];
        for (var node = 0; node < Nodes; node++)
            sides[node] = await cluster.SideAsync(node, $"node {node}", PageWriterWorkload.Spec(name, (long)node * stride, Bytes), 20_000, turn);
        var all = Together.ByRate("three nodes", sides);
        // By its rate too: a row of a rate and a time would compare nothing.
        var one = Together.ByRate("one node, the owner", [sides[0]]);
        await Duel.WarmAsync(all, turn * (stride != 0 ? 12 : 4), cancellation);
        var row = new Row
        {
            Case = $"64 bytes of one page, degree {degree}: {what}", Placement = cluster.Placement.Name, Transport = cluster.TransportName, Medium = "pmem (tmpfs)", N = 0,
        };
        context.Report.Add(await Duel.RunAsync(row, all, one, 1, Duel.TurnsMin, cancellation));
    }
}
