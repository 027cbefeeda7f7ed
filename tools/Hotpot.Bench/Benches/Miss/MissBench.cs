using Hotpot.Bench.Harness;
using Hotpot.Bench.Node;
using Hotpot.Bench.Peers;

namespace Hotpot.Bench.Benches.Miss;

/// <summary>A page that another node has, against the same bytes over plain UCX between two processes placed alike, and against a store that is asked for them.</summary>
internal sealed class MissBench : IBenchmark
{
    private const double OfUcx = 1 / 2.5;
    private const string Remote = "remote";
    private const string Zeros = "zeros";

    // As long as FETCH for one page.
    private const int RequestBytes = 44;
    private const int Owner = 1;
    private const int Reader = 0;

    private static readonly TimeSpan s_turnLimit = TimeSpan.FromSeconds(5);

    public string Name => "miss";

    public string What => "random remote 4 KiB pages by a plain load; against UCX round trips and Redis GET";

    public async Task RunAsync(BenchContext context, CancellationToken cancellation)
    {
        foreach (var placement in Placement.Both)
        {
            foreach (var transports in new[] { null, "tcp" })
            {
                await using var cluster = await BenchCluster.StartAsync(2, Medium.Pmem, placement, transports, cancellation);
                await using var ucx = await UcxPair.StartAsync(placement, transports, cancellation);
                await RunAsync(context, cluster, ucx, cancellation);
            }
        }
    }

    private static async Task RunAsync(BenchContext context, BenchCluster cluster, UcxPair ucx, CancellationToken cancellation)
    {
        var (turns, operations) = context.Quick ? (5, 300) : (7, 2000);
        long Pages(int duels) => (long)duels * (turns + 1) * operations;

        var touched = Pages(duels: 3);
        var prefetched = Pages(duels: 1);
        await FillWorkload.CreateFilledAsync(cluster, Owner, Remote, (touched + prefetched) * Limits.PageBytes, cancellation);
        await cluster.Hotpot.CreateDatasetAsync(Zeros, Pages(duels: 1) * Limits.PageBytes, cancellationToken: cancellation);
        var touch = await SideAsync(PageTouches.Spec(Remote, PageAccess.Touch, zeros: false, 0, touched));
        var prefetch = await SideAsync(PageTouches.Spec(Remote, PageAccess.Prefetch, zeros: false, touched, prefetched));
        var zeros = await SideAsync(PageTouches.Spec(Zeros, PageAccess.Touch, zeros: true, 0, Pages(duels: 1)));
        var blocking = ucx.PingPong(UcxWait.Block, RequestBytes, Limits.PageBytes, operations, s_turnLimit);
        var spinning = ucx.PingPong(UcxWait.Spin, RequestBytes, Limits.PageBytes, operations, s_turnLimit);

        var about = new Row { Case = "4 KiB by a load", Placement = cluster.Placement.Name, Transport = cluster.TransportName, Medium = "pmem (tmpfs)", N = 0 };
        context.Report.Add(await Duel.RunAsync(about, touch, blocking, OfUcx, turns, cancellation));
        context.Report.Add(await Duel.RunAsync(about, touch, spinning, OfUcx, turns, cancellation));
        context.Report.Add(await Duel.RunAsync(about with { Case = "4 KiB by a call" }, prefetch, blocking, target: null, turns, cancellation));
        context.Report.Add(await Duel.StateAsync(about with { Case = "a page of zeros, asked of nobody" }, zeros, turns, cancellation));

        Task<Side> SideAsync(WorkloadSpec spec) => cluster.SideAsync(Reader, "Hotpot", spec, operations, s_turnLimit);
    }
}
