using Hotpot.Bench.Harness;
using Hotpot.Bench.Node;
using Hotpot.Bench.Peers;

namespace Hotpot.Bench.Benches.Scan;

// Everything that another node has, in order, against a one-way stream over plain UCX, by a client that reads what comes as well.
//
// What Hotpot reads stays: each page gets memory of its own, which the kernel has to find, clear and map. A bandwidth test receives into one buffer
// again and again. The target is set against the latter; the rows "into new memory" say what UCX does when it, too, keeps everything.
//
// UCX spins, as its bandwidth tests do, and does not in the row that says so. Silos sleep.
internal sealed class ScanBench : IBenchmark
{
    private const double OfUcx = 0.7;
    private const int Owner = 1;
    private const int Reader = 0;

    // As long as the largest answer to a fetch.
    private const int MessageBytes = 1 << 20;

    private static readonly TimeSpan s_turnLimit = TimeSpan.FromSeconds(30);

    public string Name => "scan";

    public string What => "sequential read of a remote dataset of 1 GiB; against a UCX stream";

    public async Task RunAsync(BenchContext context, CancellationToken cancellation)
    {
        foreach (var placement in Placement.Both)
        {
            foreach (var transports in new[] { null, "tcp" })
            {
                await using var cluster = await BenchCluster.StartAsync(2, Medium.Pmem, placement, transports, cancellation, BenchCluster.NoMigration);
                await using var ucx = await UcxPair.StartAsync(placement, transports, cancellation);
                foreach (var mode in context.Quick ? [ScanMode.Loads] : Enum.GetValues<ScanMode>())
                    await RunAsync(context, cluster, ucx, mode, UcxWait.Spin, newMemory: false, OfUcx, cancellation);
                if (context.Quick)
                    continue;
                await RunAsync(context, cluster, ucx, ScanMode.Loads, UcxWait.Block, newMemory: false, OfUcx, cancellation);
                await RunAsync(context, cluster, ucx, ScanMode.Prefetch, UcxWait.Spin, newMemory: true, target: null, cancellation);
            }
        }
    }

    /// <summary>A dataset of its own for each case, because what was read once is not remote any more; it goes when the case is over.</summary>
    private static async Task RunAsync(BenchContext context, BenchCluster cluster, UcxPair ucx, ScanMode mode, UcxWait wait, bool newMemory, double? target, CancellationToken cancellation)
    {
        const int WarmUp = 1;
        var (turns, mebibytes) = context.Quick ? (5, 32) : (7, 128);
        var bytes = (long)(turns + WarmUp) * mebibytes << 20;
        var name = $"scan-{mode}-{wait}-{newMemory}";
        await FillWorkload.CreateFilledAsync(cluster, Owner, name, bytes, cancellation);
        var grain = cluster.On(Reader);
        await grain.PrepareAsync(name, SequentialScan.Spec(name, mode));
        var about = new Row
        {
            Case = $"{bytes >> 20} MiB by {Describe(mode)}, MiB/s", Placement = cluster.Placement.Name, Transport = cluster.TransportName, Medium = "pmem (tmpfs)", N = 0,
        };
        var ours = new Side("Hotpot", _ => grain.RunAsync(name, mebibytes, s_turnLimit));
        var stream = ucx.Stream(wait, (long)mebibytes << 20, MessageBytes, newMemory, s_turnLimit);
        context.Report.Add(await Duel.RunAsync(about, ours, stream, target, turns, cancellation));
        await grain.EndAsync(name);
        await cluster.Hotpot.RemoveAsync(name, cancellation);
    }

    private static string Describe(ScanMode mode) => mode switch
    {
        ScanMode.Loads => "loads",
        ScanMode.Prefetch => "loads behind PrefetchAsync",
        _ => "ReadAsync",
    };
}
