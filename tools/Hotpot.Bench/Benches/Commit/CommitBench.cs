using Hotpot.Bench.Harness;
using Hotpot.Bench.Peers;
using Hotpot.Clients;

namespace Hotpot.Bench.Benches.Commit;

// One writer that commits small areas through a mapping, on three nodes whose log is in memory that stands in for persistent memory.
//
// Cases: the degree; who owns what is committed (this node, another, three nodes a part each); whether the node has acquired it; one area or several.
//
// Peers: a Redis primary with two replicas. The same areas are SET, in a MULTI when there are several, and WAIT for degree - 1 replicas follows in the same write.
//   "AOF":    all nodes flush a file in the same memory before they answer: what a commit promises
//   "no AOF": replicas have the write in memory and nobody keeps it: less than a commit promises
// And the floor: two processes that speak plain UCX, where one sends what a commit of 1 KiB sends and the other answers with a few bytes. Both sleep until something comes.
//
// MULTI checks no conflicts without WATCH, and a commit does. Over "tcp" both sides use TCP between all processes; beside shared memory, Redis' client uses a Unix socket
// (its replication knows TCP only).
internal sealed class CommitBench : IBenchmark
{
    private const int Nodes = 3;
    private const long ChunkBytes = 4 << 20;

    public string Name => "commit";

    public string What => "commits of small areas at degrees 1 to 3, against Redis with two replicas";

    public async Task RunAsync(BenchContext context, CancellationToken cancellation)
    {
        foreach (var placement in Placement.Both)
        {
            await using var plain = context.Quick ? null : await StartAsync(context, placement, appendOnly: false, cancellation);
            await using var append = await StartAsync(context, placement, appendOnly: true, cancellation);
            foreach (var transports in context.Quick ? ["tcp"] : new[] { "tcp", null })
            {
                await using var cluster = await BenchCluster.StartAsync(Nodes, Medium.Pmem, placement, transports, cancellation, BenchCluster.NoMigration);
                await using var ucx = await UcxPair.StartAsync(placement, transports, cancellation);
                await new CommitCases(context, cluster, plain, append, ucx).RunAsync(cancellation);
            }
        }
    }

    private static Task<RedisServers?> StartAsync(BenchContext context, Placement placement, bool appendOnly, CancellationToken cancellation) =>
        PeerStart.OrSkipAsync(
            context.Report, $"Redis {(appendOnly ? "AOF" : "no AOF")}, {placement.Name}",
            () => RedisServers.StartAsync(new RedisOptions { AppendOnly = appendOnly, Medium = PeerMedium.Tmpfs }, placement, cancellation));

    /// <summary>A dataset of as many chunks, each owned by the node named for it.</summary>
    internal static async Task CreateAsync(BenchCluster cluster, string name, int degree, bool singleWriter, params int[] owners)
    {
        await cluster.Hotpot.CreateDatasetAsync(
            name, ChunkBytes * owners.Length,
            new DatasetOptions { Degree = degree, ChunkBytes = ChunkBytes, Mode = singleWriter ? SharingMode.SingleWriter : SharingMode.MultiWriter });
        // A node that has not acquired a dataset of a single writer cannot commit to it; there the one that is measured comes first by itself.
        for (var chunk = 0; chunk < owners.Length && !singleWriter; chunk++)
            await OwnChunksWorkload.OnAsync(cluster, owners[chunk], name, chunk * ChunkBytes + ChunkBytes - 1);
    }
}
