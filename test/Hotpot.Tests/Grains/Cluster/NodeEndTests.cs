#if HOTPOT_EMBEDDED
using Hotpot.Grains;
using Hotpot.Grains.Membership;
using Hotpot.Grains.Node;
using static Hotpot.Tests.Grains.TestNodes;

namespace Hotpot.Tests.Grains.Cluster;

/// <summary>How a node ends: in order, and because the others have declared it dead.</summary>
public sealed class NodeEndTests
{
    private static readonly CommitOptions Options = new() { Timeout = TimeSpan.FromSeconds(40) };
    private static readonly TimeSpan Long = TimeSpan.FromSeconds(40);
    private static readonly ByteRange FirstPage = new(0, 4096);

    [Fact]
    public async Task CommitsThatDoNotDrainLeaveTheHandOverItsTime()
    {
        await using HotpotCluster cluster = await HotpotCluster.StartAsync(
            options =>
            {
                options.DrainTimeout = TimeSpan.FromMilliseconds(500);
                options.HandOverTimeout = Long;
            },
            A, B, C);
        DatasetDescription mine = await cluster.CreateAsync("mine", degree: 2, chunks: 1);
        DatasetDescription theirs = await cluster.CreateAsync("theirs", degree: 2, chunks: 1);
        await cluster.Committer(A).WriteAsync(mine, 0, new byte[] { 1 }, Options, default);
        await cluster.Committer(B).WriteAsync(theirs, 0, new byte[] { 1 }, Options, default);
        Task stuck = await StickAsync(cluster, () => cluster.Committer(A).WriteAsync(theirs, 0, new byte[] { 2 }, Options, default));

        NodeId? owner = null;
        bool wasLive = false;
        cluster.AtStop = async _ =>
        {
            // A is an active member as long as this runs, so whoever owns its chunk meanwhile got it by the hand-over.
            await HotpotCluster.UntilAsync("the chunk has another owner", async () =>
            {
                owner = (await cluster.Grains.DatasetGrain(mine.Id).GetEntriesAsync([new ChunkIndex(0)]))[0].Owner;
                return owner != A;
            });
            wasLive = cluster.Service<IClusterView>(B).Current.IsLive(A);
        };
        await cluster.StopAsync(A);
        Assert.True(wasLive);
        Assert.NotEqual(A, owner);
        await Assert.ThrowsAsync<OutcomeUnknownException>(() => stuck.WaitAsync(Long));
    }

    /// <summary>Each waits for something that a node that was declared dead can never get.</summary>
    [Fact]
    public async Task WhoeverWaitsInAFencedSiloIsToldWhatToDo()
    {
        await using HotpotCluster cluster = await HotpotCluster.StartAsync(A, B);
        DatasetDescription dataset = await cluster.CreateAsync("graph", degree: 2, chunks: 2);
        await cluster.Committer(B).WriteAsync(dataset, 0, new byte[dataset.Size], Options, default);
        IHotpotNode fenced = cluster.Service<IHotpotNode>(A);
        await using IGrant held = await cluster.Service<IHotpotNode>(B).Acquirer.AcquireAsync(dataset, FirstPage, AcquireMode.Exclusive, Long, default);
        Task<IGrant> acquiring = fenced.Acquirer.AcquireAsync(dataset, FirstPage, AcquireMode.Exclusive, Long, default);
        // Not under the grant, for which a commit would wait before it is prepared.
        Task committing = await StickAsync(cluster, () => cluster.Committer(A).WriteAsync(dataset, FirstPage.End, new byte[] { 2 }, Options, default));
        Assert.False(acquiring.IsCompleted);

        cluster.Service<NodeLifetime>(A).Fence();
        AssertSaysWhatToDo(await Assert.ThrowsAsync<EngineClosedException>(() => acquiring.WaitAsync(Long)));
        // Its owner has the record, and what becomes of it is decided without this node.
        HotpotException unknown = await Assert.ThrowsAsync<OutcomeUnknownException>(() => committing.WaitAsync(Long));
        Assert.Contains("read the data again on another one", unknown.Message, StringComparison.Ordinal);
        AssertSaysWhatToDo(await Assert.ThrowsAsync<EngineClosedException>(() => fenced.OpenAsync("graph", default)));
        AssertSaysWhatToDo(await Assert.ThrowsAsync<EngineClosedException>(
            () => cluster.Committer(A).WriteAsync(dataset, 0, new byte[] { 3 }, Options, default)));
    }

    [Fact]
    public async Task ANodeThatIsDeclaredDeadFencesItself()
    {
        await using HotpotCluster cluster = await HotpotCluster.StartAsync(A, B);
        NodeLifetime lifetime = cluster.Service<NodeLifetime>(A);
        TaskCompletionSource fenced = new(TaskCreationOptions.RunContinuationsAsynchronously);
        await using CancellationTokenRegistration registration = lifetime.Fenced.Register(fenced.SetResult);
        SiloAddress silo = cluster.Service<ILocalSiloDetails>(A).SiloAddress;
        await cluster.Service<IClusterMembershipService>(B).TryKill(silo);
        await fenced.Task.WaitAsync(Long);
        Assert.True(lifetime.Ending.IsCancellationRequested);
    }

    private static void AssertSaysWhatToDo(EngineClosedException error)
    {
        Assert.Contains("declared dead", error.Message, StringComparison.Ordinal);
        Assert.Contains("restart its process", error.Message, StringComparison.Ordinal);
    }

    /// <summary>Begins a commit, and returns when it waits at owner B for ever.</summary>
    private static async Task<Task> StickAsync(HotpotCluster cluster, Func<Task> commit)
    {
        TaskCompletionSource arrived = new(TaskCreationOptions.RunContinuationsAsynchronously), gate = new(TaskCreationOptions.RunContinuationsAsynchronously);
        cluster.Fabric.AtPoint = (point, node) =>
        {
            if (point != "prepare.before" || node != B)
                return Task.CompletedTask;
            arrived.TrySetResult();
            return gate.Task;
        };
        Task stuck = commit();
        await arrived.Task.WaitAsync(Long);
        return stuck;
    }
}
#endif
