#if HOTPOT_EMBEDDED
using Hotpot.Grains;
using Hotpot.Grains.Commit;
using Hotpot.Grains.Node;
using static Hotpot.Tests.Grains.TestNodes;

namespace Hotpot.Tests.Grains.Cluster;

/// <summary>Grants through the death of owners and holders, upgrades, and what grants and commits owe to each other.</summary>
public sealed class GrantTests
{
    private static readonly TimeSpan Long = TimeSpan.FromSeconds(60);
    private static readonly CommitOptions Options = new() { Timeout = Long, MinDegree = 1 };
    private static readonly CommitOptions Impatient = new() { Timeout = TimeSpan.FromSeconds(1.5), MinDegree = 1 };
    private static readonly ByteRange FirstPage = new(0, 4096);

    private static IAcquirer Acquirer(HotpotCluster cluster, NodeId node) => cluster.Service<IHotpotNode>(node).Acquirer;

    private static Task<IGrant> WriteAsync(HotpotCluster cluster, NodeId node, DatasetDescription dataset, ByteRange range, TimeSpan? timeout = null) =>
        Acquirer(cluster, node).AcquireAsync(dataset, range, AcquireMode.Exclusive, timeout ?? Long, default);

    private static Task<IGrant> ReadAsync(HotpotCluster cluster, NodeId node, DatasetDescription dataset, ByteRange range, TimeSpan? timeout = null) =>
        Acquirer(cluster, node).AcquireAsync(dataset, range, AcquireMode.Shared, timeout ?? Long, default);

    /// <summary>A dataset whose first chunks A owns.</summary>
    private static async Task<DatasetDescription> OwnedByAAsync(HotpotCluster cluster, SharingMode mode, int chunks = 2)
    {
        DatasetDescription dataset = await cluster.CreateAsync("graph", degree: 3, mode: mode);
        await cluster.Grains.DatasetGrain(dataset.Id).AssignAsync([.. Enumerable.Range(0, chunks).Select(chunk => new ChunkIndex((uint)chunk))], A, minDegree: 1);
        return dataset;
    }

    /// <summary>A lives on and another replica owns the chunks.</summary>
    private static async Task MigrateAsync(HotpotCluster cluster, DatasetDescription dataset)
    {
        ChunkEntry[] entries = await cluster.Grains.DatasetGrain(dataset.Id).GetEntriesAsync([new(0), new(1)]);
        await cluster.Grains.DatasetGrain(dataset.Id).MigrateAsync(
            [.. entries.Select(entry => new ChunkMigration { Chunk = entry.Chunk, Epoch = entry.Epoch, To = entry.Replicas.First(node => node != A) })]);
    }

    /// <summary>Also where the committing node owns the granted page itself, and others take part in the commit.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task ACommitOverSeveralOwnersWaitsForAGrantOfItsOwnNodesPages(bool gatesAreOpen)
    {
        await using HotpotCluster cluster = await HotpotCluster.StartAsync(A, B, C);
        DatasetDescription dataset = await OwnedByAAsync(cluster, SharingMode.MultiWriter, chunks: 1);
        await cluster.Grains.DatasetGrain(dataset.Id).AssignAsync([new ChunkIndex(1)], B, minDegree: 1);
        cluster.Fabric.GatesAreOpen = gatesAreOpen;
        IGrant held = await ReadAsync(cluster, C, dataset, FirstPage);
        Task<CommitResult> commit = cluster.Committer(A).WriteAsync(dataset, 4000, new byte[200], Options, default);
        await Task.Delay(300);
        Assert.False(commit.IsCompleted);
        Assert.Equal([0], await cluster.ReadAsync(C, dataset, 4096, 1));
        await held.DisposeAsync();
        Assert.Equal(2, (await commit.WaitAsync(Long)).Owners);
        // Nothing of it is left in the way.
        await (await WriteAsync(cluster, B, dataset, FirstPage)).DisposeAsync();
    }

    [Theory]
    [InlineData("death")]
    [InlineData("hand-over")]
    [InlineData("migration")]
    public async Task AHolderKeepsItsGrantAndCommitsOnWhenItsOwnerChanges(string change)
    {
        await using HotpotCluster cluster = await HotpotCluster.StartAsync(A, B, C, D);
        DatasetDescription dataset = await OwnedByAAsync(cluster, SharingMode.SingleWriter);
        ByteRange both = new(0, 2 * 4096);
        IGrant held = await WriteAsync(cluster, C, dataset, both);
        await cluster.Committer(C).WriteAsync(dataset, 0, new byte[] { 1 }, Options, default);
        Task<IGrant> waiting = WriteAsync(cluster, B, dataset, FirstPage);
        if (change == "death")
            await cluster.KillAsync(A);
        else if (change == "hand-over")
            await cluster.StopAsync(A);
        else
            await MigrateAsync(cluster, dataset);
        // Through the fail-over, and after it, at whoever owns the chunks then.
        for (byte value = 2; value < 6; value++)
        {
            await cluster.Committer(C).WriteAsync(dataset, 0, new byte[] { value }, Options, default);
            await cluster.Committer(C).WriteAsync(dataset, 4096, new byte[] { value }, Options, default);
        }
        await cluster.HealAsync(dataset.Id);
        Assert.DoesNotContain(A, (await cluster.Grains.DatasetGrain(dataset.Id).GetEntriesAsync([new(0), new(1)])).Select(entry => entry.Owner));
        Assert.False(waiting.IsCompleted, waiting.Exception?.ToString() ?? "It was granted beside the one that is held.");
        await Assert.ThrowsAsync<HotpotTimeoutException>(() => WriteAsync(cluster, D, dataset, FirstPage, TimeSpan.FromSeconds(1)));
        await Assert.ThrowsAsync<NotAcquiredException>(() => cluster.Committer(D).WriteAsync(dataset, 0, new byte[] { 99 }, Options, default));
        await held.DisposeAsync();
        await using IGrant next = await waiting.WaitAsync(Long);
        await Assert.ThrowsAsync<NotAcquiredException>(() => cluster.Committer(C).WriteAsync(dataset, 0, new byte[] { 99 }, Options, default));
        await cluster.Committer(B).WriteAsync(dataset, 0, new byte[] { 7 }, Options, default);
        Assert.Equal([7], await cluster.ReadAsync(D, dataset, 0, 1));
        Assert.Equal([5], await cluster.ReadAsync(D, dataset, 4096, 1));
    }

    [Fact]
    public async Task AGrantThatIsKeptIdleIsRecalledByTheNextOwner()
    {
        await using HotpotCluster cluster = await HotpotCluster.StartAsync(A, B, C, D);
        DatasetDescription dataset = await OwnedByAAsync(cluster, SharingMode.MultiWriter);
        await (await WriteAsync(cluster, C, dataset, new ByteRange(0, 2 * 4096))).DisposeAsync();
        await cluster.KillAsync(A);
        await cluster.HealAsync(dataset.Id);
        NodeId owner = Assert.Single(await cluster.Grains.DatasetGrain(dataset.Id).GetEntriesAsync([new(1)])).Owner;
        await (await WriteAsync(cluster, D, dataset, new ByteRange(4096, 1)).WaitAsync(Long)).DisposeAsync();
        GrantInfo[] grants = await cluster.Grains.OwnerGrain(dataset.Id, owner).ListGrantsAsync();
        Assert.Contains(grants, grant => grant.Holder.Node == D && grant.Range.Offset == 4096);
        Assert.DoesNotContain(grants, grant => grant.Holder.Node == C && grant.Range.Overlaps(new ByteRange(4096, 1)));
        // C has lost all of it and gets it again.
        await (await WriteAsync(cluster, C, dataset, new ByteRange(0, 2 * 4096)).WaitAsync(Long)).DisposeAsync();
    }

    [Fact]
    public async Task AHolderThatDiesWithItsOwnerHoldsNothing()
    {
        await using HotpotCluster cluster = await HotpotCluster.StartAsync(A, B, C, D);
        DatasetDescription dataset = await OwnedByAAsync(cluster, SharingMode.SingleWriter);
        await WriteAsync(cluster, C, dataset, FirstPage);
        Task<IGrant> waiting = WriteAsync(cluster, B, dataset, FirstPage);
        await cluster.KillAsync(C);
        await cluster.KillAsync(A);
        await using IGrant next = await waiting.WaitAsync(Long);
        await cluster.Committer(B).WriteAsync(dataset, 0, new byte[] { 1 }, Options, default);
        await cluster.StartNodeAsync(C);
        await Assert.ThrowsAsync<NotAcquiredException>(() => cluster.Committer(C).WriteAsync(dataset, 0, new byte[] { 2 }, Options, default));
    }

    [Fact]
    public async Task AnUpgradeWaitsForTheOtherReadersAndOfTwoTheLaterFails()
    {
        await using HotpotCluster cluster = await HotpotCluster.StartAsync(A, B, C);
        DatasetDescription dataset = await OwnedByAAsync(cluster, SharingMode.SingleWriter);
        IGrant b = await ReadAsync(cluster, B, dataset, FirstPage);
        IGrant c = await ReadAsync(cluster, C, dataset, FirstPage);
        await Assert.ThrowsAsync<HotpotTimeoutException>(() => b.UpgradeAsync(TimeSpan.FromMilliseconds(100)));
        Assert.Equal(AcquireMode.Shared, b.Mode);
        Task upgrading = b.UpgradeAsync(Long);
        await HotpotCluster.UntilAsync("the second upgrade meets the first", async () =>
        {
            try
            {
                await c.UpgradeAsync(TimeSpan.FromMilliseconds(50));
                return false;
            }
            catch (UpgradeConflictException)
            {
                return true;
            }
        });
        Assert.False(upgrading.IsCompleted);
        await Assert.ThrowsAsync<NotAcquiredException>(() => cluster.Committer(B).WriteAsync(dataset, 0, new byte[] { 1 }, Options, default));
        await c.DisposeAsync();
        await upgrading.WaitAsync(Long);
        Assert.Equal(AcquireMode.Exclusive, b.Mode);
        await cluster.Committer(B).WriteAsync(dataset, 0, new byte[] { 1 }, Options, default);
        await b.DisposeAsync();
        await Assert.ThrowsAsync<NotAcquiredException>(() => b.UpgradeAsync(Long));
        await (await WriteAsync(cluster, C, dataset, FirstPage).WaitAsync(Long)).DisposeAsync();
    }

    [Fact]
    public async Task ACommitReleasesGrantsWhenAskedTo()
    {
        await using HotpotCluster cluster = await HotpotCluster.StartAsync(A, B);
        DatasetDescription dataset = await cluster.CreateAsync("graph", degree: 2, mode: SharingMode.SingleWriter);
        IGrant first = await WriteAsync(cluster, A, dataset, FirstPage);
        IGrant second = await WriteAsync(cluster, A, dataset, new ByteRange(4096, 4096));
        CommitOptions releasing = Options with { ReleaseGrants = true };
        await Assert.ThrowsAsync<NotAcquiredException>(() => cluster.Committer(A).WriteAsync(dataset, 2 * 4096, new byte[] { 1 }, releasing, default));
        await cluster.Committer(A).WriteAsync(dataset, 0, new byte[] { 1 }, releasing, default);
        // The page that was committed is free, and only that.
        await (await WriteAsync(cluster, B, dataset, FirstPage).WaitAsync(Long)).DisposeAsync();
        await Assert.ThrowsAsync<HotpotTimeoutException>(() => WriteAsync(cluster, B, dataset, new ByteRange(4096, 1), TimeSpan.FromSeconds(1)));
        await first.DisposeAsync();
        cluster.Engine(A).Store(dataset.Id, 5000, [2]);
        await cluster.Committer(A).CommitAsync([new CommitScope(dataset, [])], releasing, default);
        await (await WriteAsync(cluster, B, dataset, new ByteRange(4096, 1)).WaitAsync(Long)).DisposeAsync();
        await second.DisposeAsync();
        await Assert.ThrowsAsync<InvalidRequestException>(() => cluster.Grains.NodeGrain(A).WriteAsync(dataset.Id, 0, [1], releasing));
    }

    [Fact]
    public async Task ACommitReleasesOnlyWhatWasHeldWhenItBegan()
    {
        await using HotpotCluster cluster = await HotpotCluster.StartAsync(A, B);
        DatasetDescription dataset = await cluster.CreateAsync("graph", degree: 2);
        IGrant? late = null;
        cluster.Fabric.AtPoint = async (point, _) =>
        {
            if (point == "prepare.before" && late is null)
                late = await WriteAsync(cluster, A, dataset, FirstPage);
        };
        await cluster.Committer(A).WriteAsync(dataset, 0, new byte[] { 1 }, Options with { ReleaseGrants = true }, default);
        Assert.NotNull(late);
        await Assert.ThrowsAsync<HotpotTimeoutException>(() => WriteAsync(cluster, B, dataset, FirstPage, TimeSpan.FromMilliseconds(300)));
        await late.DisposeAsync();
        await (await WriteAsync(cluster, B, dataset, FirstPage).WaitAsync(Long)).DisposeAsync();
    }

    /// <summary>A kept exclusive grant lets its own node's commits pass, so a reader of that node needs one of its own.</summary>
    [Fact]
    public async Task AReaderHoldsOffItsOwnNodesCommitsAlsoAfterAWriter()
    {
        await using HotpotCluster cluster = await HotpotCluster.StartAsync(A, B, C);
        DatasetDescription dataset = await OwnedByAAsync(cluster, SharingMode.MultiWriter);
        await (await WriteAsync(cluster, B, dataset, FirstPage)).DisposeAsync();
        await using (await ReadAsync(cluster, B, dataset, FirstPage))
            await Assert.ThrowsAsync<HotpotTimeoutException>(() => cluster.Committer(B).WriteAsync(dataset, 0, new byte[] { 1 }, Impatient, default));
        await cluster.Committer(B).WriteAsync(dataset, 0, new byte[] { 1 }, Options, default);
    }

    [Fact]
    public async Task ANodeKeeps1024GrantsWithoutUsingThem()
    {
        const int limit = Hotpot.Grains.Acquire.Acquirer.MaxIdle;
        Assert.Equal(1024, limit);
        await using HotpotCluster cluster = await HotpotCluster.StartAsync(A, B);
        DatasetDescription dataset = await cluster.CreateAsync("graph", degree: 1, chunks: limit + 1);
        await cluster.Grains.DatasetGrain(dataset.Id).AssignAsync([.. Enumerable.Range(0, limit + 1).Select(chunk => new ChunkIndex((uint)chunk))], A, minDegree: 1);
        for (int page = 0; page <= limit; page++)
            await (await WriteAsync(cluster, B, dataset, new ByteRange(page * 4096L, 4096))).DisposeAsync();
        GrantInfo[] kept = await cluster.Grains.OwnerGrain(dataset.Id, A).ListGrantsAsync();
        Assert.Equal(limit, kept.Length);
        Assert.DoesNotContain(kept, grant => grant.Range.Offset == 0);
    }

    /// <summary>A commit with one owner keeps its place in line while others come and give up, so readers who take turns do not starve it.</summary>
    [Fact]
    public async Task ACommitKeepsItsPlaceInLine()
    {
        await using HotpotCluster cluster = await HotpotCluster.StartAsync(A, B, C);
        DatasetDescription dataset = await OwnedByAAsync(cluster, SharingMode.MultiWriter);
        IGrant reading = await ReadAsync(cluster, B, dataset, FirstPage);
        Task<CommitResult> commit = cluster.Committer(C).WriteAsync(dataset, 0, new byte[] { 1 }, Options, default);
        // Until the commit is in line the pages can be shared; from then on nobody gets before it.
        await HotpotCluster.UntilAsync("the commit is in line", async () =>
        {
            try
            {
                await (await ReadAsync(cluster, A, dataset, FirstPage, TimeSpan.FromMilliseconds(200))).DisposeAsync();
                return false;
            }
            catch (HotpotTimeoutException)
            {
                return true;
            }
        });
        await Assert.ThrowsAsync<HotpotTimeoutException>(() => ReadAsync(cluster, A, dataset, FirstPage, TimeSpan.FromSeconds(1)));
        Assert.False(commit.IsCompleted);
        await reading.DisposeAsync();
        // One wait in line is five seconds.
        Assert.InRange((await commit.WaitAsync(Long)).Attempts, 1, 2);
    }

    [Theory]
    [InlineData(AcquireMode.Shared)]
    [InlineData(AcquireMode.Exclusive)]
    public async Task ACommitOfAnotherNodeWaitsForAGrantOnItsPagesAndOnlyThere(AcquireMode mode)
    {
        await using HotpotCluster cluster = await HotpotCluster.StartAsync(A, B, C);
        DatasetDescription dataset = await OwnedByAAsync(cluster, SharingMode.MultiWriter);
        IGrant held = await Acquirer(cluster, B).AcquireAsync(dataset, FirstPage, mode, Long, default);
        HotpotTimeoutException refused = await Assert.ThrowsAsync<HotpotTimeoutException>(
            () => cluster.Committer(C).WriteAsync(dataset, 0, new byte[] { 1 }, Impatient, default));
        Assert.Contains("grant", refused.Message, StringComparison.Ordinal);
        await cluster.Committer(C).WriteAsync(dataset, 4096, new byte[] { 1 }, Impatient, default);
        Assert.Equal([0], await cluster.ReadAsync(A, dataset, 0, 1));
        if (mode == AcquireMode.Exclusive)
            await cluster.Committer(B).WriteAsync(dataset, 0, new byte[] { 2 }, Impatient, default);
        else
            await Assert.ThrowsAsync<HotpotTimeoutException>(() => cluster.Committer(B).WriteAsync(dataset, 0, new byte[] { 2 }, Impatient, default));
        Task<CommitResult> waiting = cluster.Committer(C).WriteAsync(dataset, 0, new byte[] { 3 }, Options, default);
        await held.DisposeAsync();
        await waiting.WaitAsync(Long);
        Assert.Equal([3], await cluster.ReadAsync(B, dataset, 0, 1));
        // Kept idle at B, it is recalled by a commit at once.
        await (await Acquirer(cluster, B).AcquireAsync(dataset, FirstPage, mode, Long, default)).DisposeAsync();
        await cluster.Committer(C).WriteAsync(dataset, 0, new byte[] { 4 }, Options, default);
    }

    /// <summary>A commit over two owners stands still when it has been applied at the first: a reader that acquires then sees all of it.</summary>
    [Fact]
    public async Task AReaderWithAGrantSeesACommitOverSeveralOwnersWholeOrNotAtAll()
    {
        await using HotpotCluster cluster = await HotpotCluster.StartAsync(A, B, C);
        DatasetDescription dataset = await cluster.CreateAsync("graph", degree: 2);
        foreach ((NodeId node, int chunk) in new[] { (A, 0), (B, 1) })
            await cluster.Committer(node).WriteAsync(dataset, chunk * 4096, new byte[] { 1 }, Options, default);
        TaskCompletionSource applied = new(TaskCreationOptions.RunContinuationsAsynchronously), goOn = new(TaskCreationOptions.RunContinuationsAsynchronously);
        cluster.Fabric.AtPoint = async (point, node) =>
        {
            if (point == "commit.after" && node == A)
                applied.TrySetResult();
            if (point == "commit.before" && node == B)
                await goOn.Task;
        };
        byte[] twos = new byte[4097];
        twos[0] = twos[4096] = 2;
        Task<CommitResult> commit = cluster.Committer(C).WriteAsync(dataset, 0, twos, Options, default);
        await applied.Task.WaitAsync(Long);
        await Assert.ThrowsAsync<HotpotTimeoutException>(() => ReadAsync(cluster, A, dataset, new ByteRange(0, 4097), TimeSpan.FromMilliseconds(300)));
        Task<IGrant> reading = ReadAsync(cluster, A, dataset, new ByteRange(0, 4097));
        goOn.SetResult();
        await using (await reading.WaitAsync(Long))
        {
            byte[] seen = await cluster.ReadAsync(A, dataset, 0, 4097);
            Assert.Equal((2, 2), (seen[0], seen[4096]));
        }
        await commit.WaitAsync(Long);
    }
}
#endif
