#if HOTPOT_EMBEDDED
using Hotpot.Grains;
using Hotpot.Grains.Node;
using static Hotpot.Tests.Grains.TestNodes;

namespace Hotpot.Tests.Grains.Cluster;

public sealed class NamespaceAndGrantTests
{
    private static readonly CommitOptions Options = new() { Timeout = TimeSpan.FromSeconds(40) };
    private static readonly TimeSpan Long = TimeSpan.FromSeconds(40);
    private static readonly ByteRange FirstPage = new(0, 4096);

    private static IAcquirer Acquirer(HotpotCluster cluster, NodeId node) => cluster.Service<IHotpotNode>(node).Acquirer;

    [Fact]
    public async Task NamesAreUniqueAndARepeatedRequestIsTheSameDataset()
    {
        await using HotpotCluster cluster = await HotpotCluster.StartAsync(A, B);
        INamespaceGrain grain = cluster.Grains.NamespaceGrain();
        CreateDatasetRequest request = new() { RequestId = Guid.NewGuid(), Name = "graph", Size = 5000, Degree = 2 };
        DatasetDescription created = await grain.CreateAsync(request);
        Assert.Equal(created, await grain.CreateAsync(request));
        Assert.Equal(8192, created.Size);
        await Assert.ThrowsAsync<DatasetExistsException>(() => grain.CreateAsync(request with { RequestId = Guid.NewGuid() }));
        DatasetDescription other = await grain.CreateAsync(request with { RequestId = Guid.NewGuid(), Name = "another" });
        Assert.NotEqual(created.Id, other.Id);
        Assert.True(other.BaseAddress >= created.BaseAddress + (ulong)created.Size);
        Assert.Equal(["another", "graph"], (await grain.ListAsync()).Select(dataset => dataset.Name));
        Assert.Null(await grain.FindAsync("unknown"));
        await Assert.ThrowsAsync<DegreeException>(() => grain.CreateAsync(request with { RequestId = Guid.NewGuid(), Name = "third", Degree = 3 }));
        await Assert.ThrowsAsync<DatasetNotFoundException>(() => cluster.Service<IHotpotNode>(A).OpenAsync("unknown", default));
    }

    [Fact]
    public async Task ARemovedDatasetIsGoneEverywhereAndItsIdIsNotUsedAgain()
    {
        await using HotpotCluster cluster = await HotpotCluster.StartAsync(A, B);
        INamespaceGrain grain = cluster.Grains.NamespaceGrain();
        DatasetDescription first = await cluster.CreateAsync("graph", degree: 2);
        await cluster.Committer(A).WriteAsync(first, 0, new byte[] { 1 }, Options, default);
        Assert.True(await grain.RemoveAsync("graph"));
        Assert.False(await grain.RemoveAsync("graph"));
        Assert.Null(cluster.Engine(B).Durable(first.Id, new ChunkIndex(0)));
        await Assert.ThrowsAsync<DatasetNotFoundException>(() => cluster.Committer(A).WriteAsync(first, 0, new byte[] { 1 }, Options, default));
        DatasetDescription second = await cluster.CreateAsync("graph", degree: 2);
        Assert.NotEqual(first.Id, second.Id);
        Assert.NotEqual(first.BaseAddress, second.BaseAddress);
        Assert.Equal([0], await cluster.ReadAsync(B, second, 0, 1));
    }

    [Fact]
    public async Task AnIdleGrantIsRecalledAndOneInUseIsWaitedFor()
    {
        await using HotpotCluster cluster = await HotpotCluster.StartAsync(A, B);
        DatasetDescription dataset = await cluster.CreateAsync("graph", degree: 2);
        IGrant first = await Acquirer(cluster, A).AcquireAsync(dataset, FirstPage, AcquireMode.Exclusive, Long, default);
        await Assert.ThrowsAsync<AlreadyAcquiredException>(() => Acquirer(cluster, A).AcquireAsync(dataset, new ByteRange(10, 1), AcquireMode.Shared, Long, default));
        Task<IGrant> waiting = Acquirer(cluster, B).AcquireAsync(dataset, FirstPage, AcquireMode.Exclusive, Long, default);
        await Assert.ThrowsAsync<HotpotTimeoutException>(() => Acquirer(cluster, B).AcquireAsync(
            dataset, new ByteRange(4096, 1), AcquireMode.Exclusive, TimeSpan.Zero, default));
        Assert.False(waiting.IsCompleted);
        await first.DisposeAsync();
        IGrant second = await waiting.WaitAsync(Long);
        await second.DisposeAsync();
        // Nobody uses it now; B still has it, and gives it up when it is asked.
        await using IGrant third = await Acquirer(cluster, A).AcquireAsync(dataset, FirstPage, AcquireMode.Exclusive, Long, default).WaitAsync(Long);
        Assert.Equal(FirstPage, third.Range);
    }

    [Fact]
    public async Task TheGrantsOfADeadNodeAreFree()
    {
        await using HotpotCluster cluster = await HotpotCluster.StartAsync(A, B, C);
        DatasetDescription dataset = await cluster.CreateAsync("graph", degree: 2);
        await cluster.Committer(A).WriteAsync(dataset, 0, new byte[] { 1 }, Options, default);
        await Acquirer(cluster, C).AcquireAsync(dataset, FirstPage, AcquireMode.Exclusive, Long, default);
        Task<IGrant> waiting = Acquirer(cluster, B).AcquireAsync(dataset, FirstPage, AcquireMode.Exclusive, Long, default);
        await cluster.KillAsync(C);
        await (await waiting.WaitAsync(Long)).DisposeAsync();
    }

    /// <summary>The owner looks at the ranges of both, although the commit node believes that it holds them.</summary>
    [Fact]
    public async Task ADatasetThatACommitNamesTwiceIsCheckedTwice()
    {
        await using HotpotCluster cluster = await HotpotCluster.StartAsync(A, B);
        DatasetDescription dataset = await cluster.CreateAsync("graph", degree: 2, mode: SharingMode.SingleWriter);
        ByteRange second = new(4096, 4096);
        await using IGrant first = await Acquirer(cluster, A).AcquireAsync(dataset, FirstPage, AcquireMode.Exclusive, Long, default);
        await using IGrant other = await Acquirer(cluster, A).AcquireAsync(dataset, second, AcquireMode.Exclusive, Long, default);
        await cluster.Committer(A).WriteAsync(dataset, 0, new byte[] { 1 }, Options, default);
        GrantHolder holder = new() { Node = A, Incarnation = cluster.Engine(A).Identity.Incarnation };
        Assert.True(await cluster.Grains.OwnerGrain(dataset.Id, A).ReleaseAsync(holder, FirstPage, ulong.MaxValue));

        cluster.Engine(A).Store(dataset.Id, 0, [2]);
        cluster.Engine(A).Store(dataset.Id, second.Offset, [2]);
        await Assert.ThrowsAsync<NotAcquiredException>(
            () => cluster.Committer(A).CommitAsync([new(dataset, [FirstPage]), new(dataset, [second])], Options, default));
    }

    [Fact]
    public async Task ASingleWriterCommitsOnlyWhatItHolds()
    {
        await using HotpotCluster cluster = await HotpotCluster.StartAsync(A, B);
        DatasetDescription dataset = await cluster.CreateAsync("graph", degree: 2, mode: SharingMode.SingleWriter);
        await Assert.ThrowsAsync<NotAcquiredException>(() => cluster.Committer(A).WriteAsync(dataset, 0, new byte[] { 1 }, Options, default));
        await using (await Acquirer(cluster, A).AcquireAsync(dataset, FirstPage, AcquireMode.Exclusive, Long, default))
        {
            await cluster.Committer(A).WriteAsync(dataset, 0, new byte[] { 1 }, Options, default);
            await Assert.ThrowsAsync<NotAcquiredException>(() => cluster.Committer(A).WriteAsync(dataset, 4096, new byte[] { 1 }, Options, default));
            await Assert.ThrowsAsync<NotAcquiredException>(() => cluster.Committer(B).WriteAsync(dataset, 0, new byte[] { 1 }, Options, default));
            // A whole mapping: a store inside the grant goes, one outside it is an error and not left out in silence.
            cluster.Engine(A).Store(dataset.Id, 8, [2]);
            await cluster.Committer(A).CommitAsync([new(dataset, [])], Options, default);
            cluster.Engine(A).Store(dataset.Id, 5000, [3]);
            await Assert.ThrowsAsync<NotAcquiredException>(() => cluster.Committer(A).CommitAsync([new(dataset, [])], Options, default));
        }
        Assert.Equal([2], await cluster.ReadAsync(B, dataset, 8, 1));
        Assert.Equal([0], await cluster.ReadAsync(B, dataset, 5000, 1));
        await Assert.ThrowsAsync<NotAcquiredException>(() => cluster.Committer(A).WriteAsync(dataset, 0, new byte[] { 1 }, Options, default));
    }

    [Fact]
    public async Task RemoteClientsReadAndWriteInBoundedPieces()
    {
        await using HotpotCluster cluster = await HotpotCluster.StartAsync(A, B);
        DatasetDescription dataset = await cluster.CreateAsync("graph", degree: 2, chunks: 600);
        byte[] bytes = [.. Enumerable.Range(0, 9000).Select(i => (byte)i)];
        CommitResult result = await cluster.Grains.NodeGrain(B).WriteAsync(dataset.Id, 100, bytes, CommitOptions.Default);
        Assert.Equal((2, 9000L), (result.Degree, result.Bytes));
        Assert.Equal(bytes, await cluster.Grains.NodeGrain(A).ReadAsync(dataset.Id, 100, bytes.Length));
        Assert.Equal(
            await cluster.Grains.NodeGrain(A).ChecksumAsync(dataset.Id, new ByteRange(0, dataset.Size)),
            await cluster.Grains.NodeGrain(B).ChecksumAsync(dataset.Id, new ByteRange(0, dataset.Size)));
        await Assert.ThrowsAsync<LimitReachedException>(() => cluster.Grains.NodeGrain(A).ReadAsync(dataset.Id, 0, RemoteLimits.MaxBytes + 1));
        await Assert.ThrowsAsync<RangeOutsideDatasetException>(() => cluster.Grains.NodeGrain(A).ReadAsync(dataset.Id, dataset.Size, 1));
        await Assert.ThrowsAsync<DatasetNotFoundException>(() => cluster.Grains.NodeGrain(A).ReadAsync(new DatasetId(999), 0, 1));
    }
}
#endif
