using Hotpot.Bench.Harness;
using Hotpot.Bench.Peers;

namespace Hotpot.Bench.Benches.Ycsb;

// YCSB's six workloads on three nodes: the record store of this repository against replicated stores, and one that is not replicated.
//
// Clients are closed loops in the three node processes, the same number for every store, and each store's client does the same work around its calls: it makes the key, fills the
// value, and checks what it has read. What differs is what is compared: our reads are loads, a peer's are calls to its server.
// Ours keeps every record on three nodes and acknowledges a change when all of them have it; so do the peers that replicate.
internal sealed class YcsbBench : IBenchmark
{
    private const int Nodes = 3;
    private const int ClientsPerNode = 32;
    private const string Medium = "pmem";

    /// <summary>Of each store, half updates, unmeasured: the compiler has optimised what matters when the first turn begins.</summary>
    private static readonly TimeSpan s_warmUp = TimeSpan.FromSeconds(4);
    private static readonly TimeSpan s_warmUpQuick = TimeSpan.FromSeconds(2);

    public string Name => "ycsb";

    public string What => "YCSB A to F, records of 1 KB, 3 nodes, degree 3, on Hotpot.Store; against Redis with 2 replicas, PostgreSQL with 2 standbys, LMDB.";

    public async Task RunAsync(BenchContext context, CancellationToken cancellation)
    {
        var placements = context.Quick ? [Placement.Free] : Placement.Both;
        foreach (var placement in placements)
            await RunAsync(context, placement, cancellation);
    }

    private static async Task RunAsync(BenchContext context, Placement placement, CancellationToken cancellation)
    {
        long records = context.Quick ? 10_000 : 100_000;
        await using var cluster = await BenchCluster.StartAsync(Nodes, Runtime.Medium.Pmem, placement, transports: null, cancellation);
        List<YcsbPeer> stores = [await YcsbPeer.HotpotAsync(cluster, records, context)];
        await using var redis = await PeerStart.OrSkipAsync(context.Report, "Redis", () => RedisServers.StartAsync(new RedisOptions(), placement, cancellation));
        // Loading it takes longer than a quick run may.
        await using var postgres = context.Quick
            ? null
            : await PeerStart.OrSkipAsync(context.Report, "PostgreSQL", () => PostgresServers.StartAsync(PeerMedium.Tmpfs, placement, cancellation));
        using PeerFolder lmdb = new("lmdb", PeerMedium.Tmpfs);
        if (redis is not null)
            stores.Add(YcsbPeer.Redis(redis));
        if (postgres is not null)
            stores.Add(YcsbPeer.Postgres(postgres));
        if (Lmdb.IsInstalled())
            stores.Add(YcsbPeer.LmdbOf(lmdb));
        else
            context.Report.Skip("LMDB", "liblmdb0 is not installed; run './hotpot bench --setup'.");
        foreach (var peer in stores.Skip(1))
            await peer.LoadAsync(cluster, records, context);
        foreach (var store in stores)
        {
            await using var clients = await store.ConnectAsync(cluster, YcsbMix.All[0], records, ClientsPerNode);
            await clients.RunAsync(context.Quick ? s_warmUpQuick : s_warmUp);
        }

        var mixes = context.Quick ? YcsbMix.All.Where(mix => mix.Name is 'A' or 'C') : YcsbMix.All;
        foreach (var mix in mixes)
            await RunAsync(context, cluster, mix, stores, records, cancellation);
    }

    /// <summary>Rounds of one turn of each store; who begins changes from round to round.</summary>
    private static async Task RunAsync(
        BenchContext context, BenchCluster cluster, YcsbMix mix, IReadOnlyList<YcsbPeer> stores, long records, CancellationToken cancellation)
    {
        var limit = TimeSpan.FromMilliseconds(context.Quick ? 300 : 500);
        var turns = stores.ToDictionary(store => store.Name, _ => new List<Turn>());
        List<YcsbClients> clients = [];
        try
        {
            foreach (var store in stores)
                clients.Add(await store.ConnectAsync(cluster, mix, records, ClientsPerNode));
            for (var round = -1; round < Duel.TurnsMin; round++)
            {
                for (var i = 0; i < clients.Count; i++)
                {
                    cancellation.ThrowIfCancellationRequested();
                    var side = clients[(i + round + clients.Count) % clients.Count];
                    var turn = await side.RunAsync(limit);
                    if (round >= 0)
                        turns[side.Name].Add(turn);
                }
            }
        }
        finally
        {
            foreach (var side in clients)
                await side.DisposeAsync();
        }

        Row about = new() { Case = $"{mix.Name}", Placement = cluster.Placement.Name, Transport = cluster.TransportName, Medium = Medium, N = 0 };
        var ours = turns[stores[0].Name];
        foreach (var peer in stores.Skip(1))
            context.Report.Add(Duel.Compare(about with { Medium = peer.Medium ?? Medium }, ours, peer.Name, turns[peer.Name], peer.TargetOf(mix), byRate: true));
        context.Report.Add(AgainstPublished(Duel.State(about with { Case = $"{mix.Name}, published" }, ours), mix));
    }

    private static Row AgainstPublished(Row row, YcsbMix mix) => row with
    {
        Peer = "a document store on the ancestor, as published (its machines)",
        PeerOpsS = mix.PublishedOpsS,
        Ahead = row.OpsS / mix.PublishedOpsS,
        AheadMin = row.OpsS / mix.PublishedOpsS,
        AheadMax = row.OpsS / mix.PublishedOpsS,
        Target = 1,
    };
}
