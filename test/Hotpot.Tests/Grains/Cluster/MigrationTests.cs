#if HOTPOT_EMBEDDED
using Hotpot.Grains;
using static Hotpot.Tests.Grains.TestNodes;

namespace Hotpot.Tests.Grains.Cluster;

public sealed class MigrationTests
{
    private static readonly CommitOptions Options = new() { Timeout = TimeSpan.FromSeconds(40) };

    private static ChunkUse Use(NodeId node, long pages) => new() { Chunk = new ChunkIndex(0), Node = node, Pages = pages };

    private static async Task<ChunkEntry> EntryAsync(HotpotCluster cluster, DatasetDescription dataset) =>
        Assert.Single(await cluster.Grains.DatasetGrain(dataset.Id).GetEntriesAsync([new ChunkIndex(0)]));

    [Fact]
    public async Task AChunkGoesToItsHeaviestUserAndTheDegreeStays()
    {
        await using HotpotCluster cluster = await HotpotCluster.StartAsync(A, B, C, D);
        DatasetDescription dataset = await cluster.CreateAsync("moving", degree: 2);
        await cluster.Committer(A).WriteAsync(dataset, 0, new byte[] { 1 }, Options, default);
        ChunkEntry before = await EntryAsync(cluster, dataset);
        Assert.Equal(A, before.Owner);
        NodeId stranger = new[] { B, C, D }.First(node => !before.Holds(node));

        // A node without a copy gets one first; the chunk then goes to it, and the owner before gives its copy up.
        cluster.Engine(A).Uses = [Use(stranger, 5000), Use(A, 10)];
        await HotpotCluster.UntilAsync("the chunk has moved", async () => (await EntryAsync(cluster, dataset)).Owner == stranger);
        await cluster.HealAsync(dataset.Id, health => health is { Joining: 0, ReplicasMissing: 0, Recovering: 0 });
        ChunkEntry after = await EntryAsync(cluster, dataset);
        Assert.Equal(2, after.CountedReplicas);
        Assert.False(after.Holds(A), "the owner before gave its copy up");

        // Nothing was lost on the way, and commits go on from everywhere.
        byte[] written = [1];
        foreach (NodeId node in cluster.Alive)
            Assert.Equal(written, await cluster.ReadAsync(node, dataset, 0, 1));
        foreach (NodeId node in cluster.Alive)
            Assert.Equal(2, (await cluster.Committer(node).WriteAsync(dataset, 1, new byte[] { 2 }, Options, default)).Degree);
    }

    [Fact]
    public async Task AReplicaThatBecomesTheOwnerKeepsTheOthers()
    {
        await using HotpotCluster cluster = await HotpotCluster.StartAsync(A, B, C);
        DatasetDescription dataset = await cluster.CreateAsync("moving", degree: 3);
        await cluster.Committer(A).WriteAsync(dataset, 0, new byte[] { 1 }, Options, default);
        cluster.Engine(A).Uses = [Use(C, 5000)];
        await HotpotCluster.UntilAsync("the chunk has moved", async () => (await EntryAsync(cluster, dataset)).Owner == C);
        await cluster.HealAsync(dataset.Id, health => health is { ReplicasMissing: 0, Recovering: 0 });
        Assert.Equal([C, B, A], (await EntryAsync(cluster, dataset)).Replicas);
    }

    [Fact]
    public async Task AChunkThatSeveralNodesUseAlikeStays()
    {
        await using HotpotCluster cluster = await HotpotCluster.StartAsync(A, B, C);
        DatasetDescription dataset = await cluster.CreateAsync("staying", degree: 2);
        await cluster.Committer(A).WriteAsync(dataset, 0, new byte[] { 1 }, Options, default);
        ChunkEntry before = await EntryAsync(cluster, dataset);
        int looks = cluster.Engine(A).Looks;
        cluster.Engine(A).Uses = [Use(B, 5000), Use(C, 4000)];
        await HotpotCluster.UntilAsync("the owner has looked several times", () => Task.FromResult(cluster.Engine(A).Looks > looks + 5));
        Assert.Equal(before, await EntryAsync(cluster, dataset));
    }
}
#endif
