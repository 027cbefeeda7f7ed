using Hotpot.Bench.Harness;
using Hotpot.Bench.Node;
using Hotpot.Bench.Peers;
using Hotpot.Silo;

namespace Hotpot.Bench.Benches.Miss;

// A page that another node has, against the same bytes over plain UCX between two processes placed alike, and against a store that is asked for them.
//
// Both sides of a row wait in the same way: silos as they are by default sleep, and are compared with a UCX pair that sleeps; silos that are told to spin, with one
// that spins. Redis sleeps. Chunks stay with their owner, and every page is touched once, so each operation is a miss.
//
// "A page of zeros" is a fault that nobody is asked about: what userfaultfd costs, with all that is the engine's but the network.
internal sealed class MissBench : IBenchmark
{
    private const double OfUcx = 1 / 2.5;
    private const double OfRedis = 1;
    private const string Remote = "remote";
    private const string Zeros = "zeros";

    // As long as FETCH for one page.
    private const int RequestBytes = 44;
    private const int RedisPages = 16_384;
    private const int Owner = 1;
    private const int Reader = 0;

    // Longer than any answer takes, so that a silo that spins never sleeps while it waits.
    private const string Spinning = $"{nameof(HotpotOptions.Spin)}=00:00:00.000200";

    private static readonly TimeSpan s_turnLimit = TimeSpan.FromSeconds(5);

    public string Name => "miss";

    public string What => "random remote 4 KiB pages by a plain load; against UCX round trips and Redis GET";

    public async Task RunAsync(BenchContext context, CancellationToken cancellation)
    {
        foreach (var placement in Placement.Both)
        {
            await using var redis = context.Quick ? null : await PeerStart.OrSkipAsync(
                context.Report, $"Redis, {placement.Name}", () => RedisServers.StartAsync(new RedisOptions { Replicas = 0 }, placement, cancellation));
            foreach (var transports in new[] { null, "tcp" })
            {
                await using var ucx = await UcxPair.StartAsync(placement, transports, cancellation);
                foreach (var wait in context.Quick ? [UcxWait.Block] : Enum.GetValues<UcxWait>())
                {
                    IReadOnlyList<string> settings = wait == UcxWait.Spin ? [.. BenchCluster.NoMigration, Spinning] : BenchCluster.NoMigration;
                    await using var cluster = await BenchCluster.StartAsync(2, Medium.Pmem, placement, transports, cancellation, settings);
                    await RunAsync(context, cluster, ucx, wait, redis, cancellation);
                }
            }
        }
    }

    private static async Task RunAsync(BenchContext context, BenchCluster cluster, UcxPair ucx, UcxWait wait, RedisServers? redis, CancellationToken cancellation)
    {
        var (turns, operations) = context.Quick ? (5, 500) : (7, 2000);
        long Pages(int duels) => (long)duels * (turns + 1) * operations;

        var touched = Pages(duels: 2);
        var called = Pages(duels: 1);
        await FillWorkload.CreateFilledAsync(cluster, Owner, Remote, (touched + called) * Limits.PageBytes, cancellation);
        await cluster.Hotpot.CreateDatasetAsync(Zeros, Pages(duels: 1) * Limits.PageBytes, cancellationToken: cancellation);
        var touch = await SideAsync("Hotpot", PageTouches.Spec(Remote, PageAccess.Touch, zeros: false, 0, touched));
        var call = await SideAsync("Hotpot", PageTouches.Spec(Remote, PageAccess.Prefetch, zeros: false, touched, called));
        var zeros = await SideAsync("Hotpot", PageTouches.Spec(Zeros, PageAccess.Touch, zeros: true, 0, Pages(duels: 1)));
        var raw = ucx.PingPong(wait, RequestBytes, Limits.PageBytes, operations, s_turnLimit);

        var spinning = wait == UcxWait.Spin ? ", spinning" : "";
        var about = new Row { Case = "", Placement = cluster.Placement.Name, Transport = cluster.TransportName, Medium = "pmem (tmpfs)", N = 0 };
        context.Report.Add(await Duel.RunAsync(about with { Case = "4 KiB by a load" + spinning }, touch, raw, OfUcx, turns, cancellation));
        if (redis is not null && wait == UcxWait.Block)
        {
            var get = await SideAsync("Redis GET", RedisGets.Spec(redis.Endpoint(cluster.Transports), RedisPages));
            context.Report.Add(await Duel.RunAsync(about with { Case = "4 KiB by a load" }, touch, get, OfRedis, turns, cancellation));
        }

        context.Report.Add(await Duel.RunAsync(about with { Case = "4 KiB by a call" + spinning }, call, raw, target: null, turns, cancellation));
        context.Report.Add(await Duel.StateAsync(about with { Case = "a page of zeros, asked of nobody" + spinning }, zeros, turns, cancellation));

        Task<Side> SideAsync(string name, WorkloadSpec spec) => cluster.SideAsync(Reader, name, spec, operations, s_turnLimit);
    }
}
