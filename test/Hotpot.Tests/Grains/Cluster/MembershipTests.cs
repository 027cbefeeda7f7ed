#if HOTPOT_EMBEDDED
using Hotpot.Grains;
using Hotpot.Grains.Dataset;
using static Hotpot.Tests.Grains.TestNodes;

namespace Hotpot.Tests.Grains.Cluster;

public sealed class MembershipTests
{
    private static readonly CommitOptions Options = new() { Timeout = TimeSpan.FromSeconds(40) };

    private static async Task<DatasetDescription> FilledAsync(HotpotCluster cluster, int degree, NodeId owner)
    {
        DatasetDescription dataset = await cluster.CreateAsync("graph", degree);
        for (int chunk = 0; chunk < 6; chunk++)
            await cluster.Committer(owner).WriteAsync(dataset, chunk * 4096, new byte[] { (byte)(chunk + 1) }, Options, default);
        return dataset;
    }

    private static async Task AssertFilledAsync(HotpotCluster cluster, DatasetDescription dataset)
    {
        foreach (NodeId node in cluster.Alive)
        {
            for (int chunk = 0; chunk < 6; chunk++)
                Assert.Equal([(byte)(chunk + 1)], await cluster.ReadAsync(node, dataset, chunk * 4096, 1));
        }
    }

    [Fact]
    public async Task AReplicaIsPromotedAndTheDegreeIsRestoredElsewhere()
    {
        await using HotpotCluster cluster = await HotpotCluster.StartAsync(A, B, C, D);
        DatasetDescription dataset = await FilledAsync(cluster, degree: 3, owner: A);
        await cluster.KillAsync(A);
        DatasetHealth health = await cluster.HealAsync(dataset.Id, health => health.ReplicasMissing == 0);
        Assert.Equal((6u, 0u, 0u), (health.Assigned, health.Recovering, health.Waiting));
        await AssertFilledAsync(cluster, dataset);
        // The new replicas really have the bytes: all three survivors hold every chunk.
        foreach (NodeId node in cluster.Alive)
        {
            for (uint chunk = 0; chunk < 6; chunk++)
                Assert.Equal(chunk + 1, cluster.Engine(node).Durable(dataset.Id, new ChunkIndex(chunk))!.Bytes[0]);
        }
        Assert.Equal(3, (await cluster.Committer(B).WriteAsync(dataset, 0, new byte[] { 1 }, Options, default)).Degree);
    }

    [Fact]
    public async Task ANodeThatComesBackCatchesUp()
    {
        await using HotpotCluster cluster = await HotpotCluster.StartAsync(A, B, C);
        DatasetDescription dataset = await FilledAsync(cluster, degree: 3, owner: A);
        await cluster.KillAsync(B);
        await cluster.HealAsync(dataset.Id);
        await cluster.Committer(A).WriteAsync(dataset, 1, new byte[] { 77 }, Options with { MinDegree = 2 }, default);
        await cluster.StartNodeAsync(B);
        await cluster.HealAsync(dataset.Id, health => health.ReplicasMissing == 0);
        Assert.Equal(77, cluster.Engine(B).Durable(dataset.Id, new ChunkIndex(0))!.Bytes[1]);
        await AssertFilledAsync(cluster, dataset);
        Assert.Equal(3, (await cluster.Committer(B).WriteAsync(dataset, 0, new byte[] { 1 }, Options, default)).Degree);
    }

    [Fact]
    public async Task AChunkWithOneCopyWaitsForItsNode()
    {
        await using HotpotCluster cluster = await HotpotCluster.StartAsync(A, B);
        DatasetDescription dataset = await FilledAsync(cluster, degree: 1, owner: A);
        await cluster.KillAsync(A);
        DatasetHealth waiting = await cluster.HealAsync(dataset.Id, health => health.Waiting == 6);
        Assert.Equal(6u, waiting.Recovering);
        HotpotException error = await Assert.ThrowsAnyAsync<HotpotException>(() => cluster.Committer(B).WriteAsync(
            dataset, 0, new byte[] { 9 }, Options with { Timeout = TimeSpan.FromMilliseconds(300) }, default));
        Assert.Contains("start their silos", error.Message, StringComparison.Ordinal);
        await cluster.StartNodeAsync(A);
        await cluster.HealAsync(dataset.Id, health => health.Recovering == 0);
        await AssertFilledAsync(cluster, dataset);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public async Task AWholeClusterComesBackWithEverythingInAnyOrder(int first)
    {
        await using HotpotCluster cluster = await HotpotCluster.StartAsync(A, B, C);
        DatasetDescription dataset = await FilledAsync(cluster, degree: 2, owner: A);
        await cluster.Committer(B).WriteAsync(dataset, 100, new byte[] { 42 }, Options, default);
        foreach (NodeId node in new[] { A, B, C })
            await cluster.KillAsync(node);
        foreach (int i in new[] { first, (first + 1) % 3, (first + 2) % 3 })
            await cluster.StartNodeAsync(All[i]);
        await cluster.HealAsync(dataset.Id, health => health.Recovering == 0 && health.ReplicasMissing == 0);
        await AssertFilledAsync(cluster, dataset);
        Assert.Equal([42], await cluster.ReadAsync(C, dataset, 100, 1));
        Assert.Equal("graph", Assert.Single(await cluster.Grains.NamespaceGrain().ListAsync()).Name);
    }

    [Fact]
    public async Task ANodeThatLeavesHandsOverBeforeItGoes()
    {
        await using HotpotCluster cluster = await HotpotCluster.StartAsync(A, B, C);
        DatasetDescription dataset = await FilledAsync(cluster, degree: 2, owner: A);
        await cluster.StopAsync(A);
        DatasetHealth health = await cluster.HealAsync(dataset.Id, health => health.ReplicasMissing == 0);
        Assert.Equal(0u, health.Recovering);
        await AssertFilledAsync(cluster, dataset);
        ChunkEntry[] entries = await cluster.Grains.DatasetGrain(dataset.Id).GetEntriesAsync([.. Enumerable.Range(0, 6).Select(chunk => new ChunkIndex((uint)chunk))]);
        Assert.All(entries, entry => Assert.False(entry.Holds(A)));
    }

    [Fact]
    public async Task TwoDeathsInARowLoseNothingOfThreeCopies()
    {
        await using HotpotCluster cluster = await HotpotCluster.StartAsync(A, B, C);
        DatasetDescription dataset = await FilledAsync(cluster, degree: 3, owner: A);
        await cluster.KillAsync(A);
        await cluster.KillAsync(B);
        await cluster.HealAsync(dataset.Id, health => health.Recovering == 0);
        await AssertFilledAsync(cluster, dataset);
    }

    /// <summary>The second death is not known yet when the first is fenced: the dead survivor must not become the only one whose return counts.</summary>
    [Fact]
    public async Task TwoDeathsAtOnceLeaveAChunkToWhicheverReturns()
    {
        await using HotpotCluster cluster = await HotpotCluster.StartAsync(A, B, C);
        DatasetDescription dataset = await cluster.CreateAsync("graph", degree: 2);
        for (int chunk = 0; chunk < 6; chunk++)
            await cluster.Committer(A).WriteAsync(dataset, chunk * 4096, new byte[] { (byte)(chunk + 1) }, Options, default);
        ChunkIndex[] shared = [.. Enumerable.Range(0, 6).Select(chunk => new ChunkIndex((uint)chunk))];
        shared = [.. (await cluster.Grains.DatasetGrain(dataset.Id).GetEntriesAsync(shared)).Where(entry => entry.Holds(B)).Select(entry => entry.Chunk)];
        Assert.NotEmpty(shared);
        FakeEngine silent = cluster.Engine(B);
        silent.IsAlive = false;
        await cluster.KillAsync(A);
        await HotpotCluster.UntilAsync("the first death is being dealt with", () => Task.FromResult(silent.Unanswered > 0));
        await cluster.KillAsync(B);
        await cluster.HealAsync(dataset.Id, health => health.Waiting >= shared.Length);
        ChunkEntry[] waiting = await cluster.Grains.DatasetGrain(dataset.Id).GetEntriesAsync(shared);
        Assert.All(waiting, entry => Assert.Equal([A, B], entry.Replicas.Order()));
        await cluster.StartNodeAsync(A);
        await cluster.HealAsync(dataset.Id, health => health.Recovering == 0 && health.ReplicasMissing == 0);
        await AssertFilledAsync(cluster, dataset);
    }

    /// <summary>An activation that was thought to be over may still write; the present one has no work, so it never writes and would never notice.</summary>
    [Fact]
    public async Task AnActivationLearnsOfWhatAnotherOneStored()
    {
        await using HotpotCluster cluster = await HotpotCluster.StartAsync(A, B, C);
        DatasetDescription dataset = await FilledAsync(cluster, degree: 2, owner: A);
        await cluster.HealAsync(dataset.Id, health => health.ReplicasMissing == 0);
        IDatasetGrain grain = cluster.Grains.DatasetGrain(dataset.Id);
        EmbeddedGrainStorage storage = cluster.Storage;
        (string? etag, DatasetState? state) = await storage.ReadAsync<DatasetState>("dataset", grain.GetGrainId(), default);
        state!.Members[state.Members.FindIndex(member => member.Node == C)] = state.Members.Find(member => member.Node == C)! with { Phase = MemberPhase.Leaving };
        state.Unsettled.Add(new DeadLife { Node = D, Incarnation = new Incarnation(1) });
        await storage.WriteAsync("dataset", grain.GetGrainId(), etag, state, default);
        await HotpotCluster.UntilAsync("what was stored is worked off", async () =>
        {
            await grain.MaintainAsync();
            return (await storage.ReadAsync<DatasetState>("dataset", grain.GetGrainId(), default)).State!.Unsettled.Count == 0;
        });
    }

    [Fact]
    public async Task ALargeMapIsAssignedFencedRecoveredAndReadByANewNode()
    {
        const int chunks = 262_144;
        await using HotpotCluster cluster = await HotpotCluster.StartAsync(A, B);
        DatasetDescription dataset = await cluster.CreateAsync("large", degree: 2, chunks);
        foreach (ChunkIndex[] batch in Enumerable.Range(0, chunks).Select(chunk => new ChunkIndex((uint)chunk)).Chunk(chunks / 8))
            await cluster.Grains.DatasetGrain(dataset.Id).AssignAsync(batch, A, minDegree: 2);
        await cluster.Committer(A).WriteAsync(dataset, dataset.Size - 1, new byte[] { 5 }, Options, default);
        await cluster.KillAsync(A);
        DatasetHealth health = await cluster.HealAsync(dataset.Id, health => health.Recovering == 0);
        Assert.Equal(((uint)chunks, (uint)chunks), (health.Assigned, health.ReplicasMissing));
        await cluster.StartNodeAsync(C);
        Assert.Equal([5], await cluster.ReadAsync(C, dataset, dataset.Size - 1, 1));
    }

    [Fact]
    public async Task ALifeThatWasDeclaredDeadCannotJoinAgain()
    {
        await using HotpotCluster cluster = await HotpotCluster.StartAsync(A, B);
        DatasetDescription dataset = await FilledAsync(cluster, degree: 2, owner: A);
        NodeIdentity dead = cluster.Engine(B).Identity;
        await cluster.KillAsync(B);
        await cluster.HealAsync(dataset.Id);
        await Assert.ThrowsAsync<NodeUnavailableException>(() => cluster.Grains.DatasetGrain(dataset.Id).NodeJoinedAsync(dataset, dead));
        await Assert.ThrowsAsync<VersionMismatchException>(() => cluster.Grains.DatasetGrain(dataset.Id).NodeJoinedAsync(
            dataset, dead with { Protocol = NodeIdentity.CurrentProtocol + 1 }));
    }

    [Fact]
    public async Task RequestsAboutNodesThatAreNotThereSaySo() =>
        await Assert.ThrowsAsync<NodeUnavailableException>(async () =>
        {
            await using HotpotCluster cluster = await HotpotCluster.StartAsync(A);
            await cluster.Grains.NodeGrain(D).GetIdentityAsync();
        });
}
#endif
