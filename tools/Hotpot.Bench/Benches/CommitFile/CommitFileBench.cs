using Hotpot.Bench.Benches.Commit;
using Hotpot.Bench.Harness;
using Hotpot.Bench.Peers;

namespace Hotpot.Bench.Benches.CommitFile;

// Writers that commit 1 KiB each, on three nodes whose logs are files on a disk. Every answer means that three files were flushed.
//
// Peers, all with their files on the same disk:
//   PostgreSQL  two synchronous standbys, synchronous_commit=on: one prepared UPDATE by key is one transaction and one round trip
//   Redis       two replicas, appendfsync always on all three, SET and WAIT 2
//   etcd        three members; a put is flushed on two of three before it is answered. Its client here is the HTTP gateway with JSON, which costs it some 100 us
//   the floor   three files written and flushed at once by three threads: what no commit can be faster than
// One writer is compared by its time, several by the rate of all together.
internal sealed class CommitFileBench : IBenchmark
{
    private const int Nodes = 3;
    private const int Bytes = 1 << 10;

    public string Name => "commit-file";

    public string What => "commits to files on a disk by 1 to 64 writers, against PostgreSQL, Redis and etcd";

    public async Task RunAsync(BenchContext context, CancellationToken cancellation)
    {
        // What waits for a disk cares little where it runs.
        foreach (var placement in context.Quick ? [Placement.Free] : Placement.Both)
        {
            await using var postgres = await PeerStart.OrSkipAsync(
                context.Report, $"PostgreSQL, {placement.Name}", () => PostgresServers.StartAsync(PeerMedium.Disk, placement, cancellation));
            await using var redis = await PeerStart.OrSkipAsync(
                context.Report, $"Redis, {placement.Name}",
                () => RedisServers.StartAsync(new RedisOptions { AppendOnly = true, Medium = PeerMedium.Disk }, placement, cancellation));
            await using var etcd = context.Quick ? null : await PeerStart.OrSkipAsync(
                context.Report, $"etcd, {placement.Name}", () => EtcdServers.StartAsync(PeerMedium.Disk, placement, cancellation));
            await using var cluster = await BenchCluster.StartAsync(Nodes, Medium.File, placement, "tcp", cancellation, BenchCluster.NoMigration);
            foreach (var writers in context.Quick ? [1, 64] : (int[])[1, 4, 16, 64])
                await RunAsync(context, cluster, writers, postgres, redis, etcd, cancellation);
        }
    }

    private static async Task RunAsync(
        BenchContext context, BenchCluster cluster, int writers, PostgresServers? postgres, RedisServers? redis, EtcdServers? etcd, CancellationToken cancellation)
    {
        var turn = TimeSpan.FromMilliseconds(context.Quick ? 100 : 400);
        var warmUp = turn * (writers == 1 ? 8 : 3);
        var row = new Row
        {
            Case = $"1 KiB, degree 3, {writers} {(writers == 1 ? "writer" : "writers")}", Placement = cluster.Placement.Name, Transport = cluster.TransportName,
            Medium = "file (disk)", N = 0,
        };
        var name = $"commit-file-{writers}";
        await CommitBench.CreateAsync(cluster, name, degree: 3, singleWriter: false, 0);
        var ours = await SideAsync("Hotpot", WritersWorkload.Spec(name, writers, Bytes));
        await Duel.WarmAsync(ours, warmUp, cancellation);
        if (postgres is not null)
            await DuelAsync(await SideAsync("PostgreSQL", PostgresWritersWorkload.Spec(postgres.ConnectionString, writers, Bytes)), writers == 1 ? 1 : writers == 64 ? 3 : null);
        if (redis is not null && (writers == 1 || !context.Quick))
            await DuelAsync(await SideAsync("Redis AOF SET, WAIT 2", RedisWritersWorkload.Spec(redis.TcpEndpoint, writers, Bytes, replicas: 2)), writers == 1 ? 1 : null);
        if (etcd is not null)
            await DuelAsync(await SideAsync("etcd put", EtcdWritersWorkload.Spec(etcd.Endpoint, writers, Bytes)), null);
        if (writers == 1 && !context.Quick)
            await DuelAsync(await SideAsync("three files flushed at once", FlushWorkload.Spec(cluster.Folder.Path, Bytes)), null);
        if (postgres is null && redis is null)
            context.Report.Add(await Duel.StateAsync(row, ours, Duel.TurnsMin, cancellation));

        Task<Side> SideAsync(string side, Node.WorkloadSpec spec) => cluster.SideAsync(0, side, spec, 20_000, turn);

        async Task DuelAsync(Side theirs, double? target)
        {
            // A peer's client is managed code too.
            await Duel.WarmAsync(theirs, warmUp, cancellation);
            context.Report.Add(await Duel.RunAsync(row, ours, theirs, target, Duel.TurnsMin, cancellation));
        }
    }
}
