using System.Buffers.Binary;
using System.Diagnostics;

namespace Hotpot.Cluster.Tests;

/// <summary>Failures that meet each other: two deaths at once, a death during a recovery, a node that slept through its own death.</summary>
public sealed class FailureTests : IAsyncLifetime
{
    private const int ChunkBytes = 4 << 20;
    private const int Pages = 40;

    private static readonly CommitOptions AnyDegree = new() { MinDegree = 1, Timeout = TimeSpan.FromSeconds(20) };

    private TestCluster _cluster = null!;

    public async Task InitializeAsync() => _cluster = await TestCluster.StartAsync(3);

    public async Task DisposeAsync() => await _cluster.DisposeAsync();

    /// <summary>
    /// The node with the role dies at the point, in a commit over three owners, and another one of the three at the same moment. What is left of
    /// the commit is all of it or nothing, on one node first and on all three after their return.
    /// </summary>
    [Theory]
    [InlineData("cn.after_prepare", 0, 1)]
    [InlineData("cn.after_first_prepare", 0, 2)]
    [InlineData("cn.after_first_commit", 0, 1)]
    [InlineData("owner.after_prepare", 1, 0)]
    [InlineData("owner.after_apply", 1, 2)]
    [InlineData("replica.after_durable", 2, 0)]
    [InlineData("replica.after_apply", 2, 1)]
    public async Task ACommitIsAtomicWhenTwoOfThreeDieAtOnce(string point, int victim, int other)
    {
        Dataset dataset = await _cluster.CreateAsync("pair", 16 << 20, degree: 3);
        for (int chunk = 0; chunk < 3; chunk++)
            await _cluster.On(chunk).StoreAndCommitAsync(dataset.Name, [Value(chunk, 1)], CommitOptions.Default);
        await _cluster.On(victim).ArmCrashAsync(point);
        bool acknowledged = await TryCommitAsync(committing: 0, dataset, [Value(0, 2), Value(1, 2), Value(2, 2)]);
        await _cluster.Nodes[victim].WaitForExitAsync();
        await _cluster.Nodes[other].KillAsync();

        int survivor = 3 - victim - other;
        // A replica may show the old value until recovery has decided what the dead left behind.
        await _cluster.EventuallyAsync(
            async () => await _cluster.Grains.DatasetGrain(dataset.Id).GetHealthAsync() is { Recovering: 0, ReplicasMissing: > 0 }
                && await _cluster.Grains.NodeGrain(_cluster.Nodes[survivor].Id).GetPendingAsync() is [],
            $"the survivor has settled what was undecided after {point}");
        long settled = await ReadAsync(survivor, dataset, point);
        if (acknowledged)
            Assert.Equal(2, settled);
        await _cluster.RetryAsync(() => _cluster.On(survivor).StoreAndCommitAsync(dataset.Name, [Value(3, 7)], AnyDegree), "the survivor serves on");
        await _cluster.RestartAsync(victim);
        await _cluster.RestartAsync(other);
        await _cluster.WaitUntilHealthyAsync(dataset);
        for (int node = 0; node < 3; node++)
            Assert.Equal(settled, await ReadAsync(node, dataset, point));
    }

    /// <summary>The dataset grain dies in the middle of the recovery that an owner's death began; the last node finishes it.</summary>
    [Theory]
    [InlineData("dataset.after_store")]
    [InlineData("dataset.after_fence")]
    [InlineData("dataset.after_settle")]
    public async Task ARecoveryThatIsCutShortIsFinishedByTheNextNode(string point)
    {
        Dataset dataset = await _cluster.CreateAsync("again", 16 << 20, degree: 3);
        for (int chunk = 0; chunk < 3; chunk++)
            await _cluster.On(chunk).StoreAndCommitAsync(dataset.Name, [Value(chunk, 1)], CommitOptions.Default);
        // Whichever node runs the grain then: of the two that are armed one dies, and the other is disarmed at once.
        await _cluster.On(0).ArmCrashAsync(point);
        await _cluster.On(1).ArmCrashAsync(point);
        await _cluster.Nodes[2].KillAsync();
        Task<int>[] deaths = [DeathAsync(0), DeathAsync(1)];
        int died = await await Task.WhenAny(deaths);
        int left = 1 - died;
        await _cluster.RetryAsync(
            async () =>
            {
                await _cluster.On(left).ArmCrashAsync("none");
                return true;
            },
            "the last node is disarmed");
        Assert.Equal(1, await ReadAsync(left, dataset, point));
        await _cluster.RetryAsync(
            () => _cluster.On(left).StoreAndCommitAsync(dataset.Name, [Value(0, 2), Value(1, 2), Value(2, 2)], AnyDegree), "the last node serves on");
        await _cluster.RestartAsync(died);
        await _cluster.RestartAsync(2);
        await _cluster.WaitUntilHealthyAsync(dataset);
        for (int node = 0; node < 3; node++)
            Assert.Equal(2, await ReadAsync(node, dataset, point));
    }

    [Fact]
    public async Task AZombieChangesNothingAndLearnsThatItWasReplaced()
    {
        Dataset dataset = await _cluster.CreateAsync("zombie", 16 << 20, degree: 3);
        for (int chunk = 0; chunk < 3; chunk++)
            await _cluster.On(0).StoreAndCommitAsync(dataset.Name, [Value(chunk, 1)], CommitOptions.Default);
        // Stores that it has not committed, and a commit that it begins as soon as it wakes.
        await _cluster.On(0).StoreAsync(dataset.Name, [Value(0, 666), Value(1, 666), Value(2, 666)]);
        Task zombieCommit = Task.CompletedTask;
        _cluster.Nodes[0].Stop();
        try
        {
            zombieCommit = _cluster.On(0).CommitAsync(dataset.Name, AnyDegree);
            CommitResult result = await _cluster.RetryAsync(
                () => _cluster.On(1).StoreAndCommitAsync(dataset.Name, [Value(0, 2), Value(1, 2), Value(2, 2)], new CommitOptions { MinDegree = 2 }),
                "the others go on without it");
            Assert.Equal(2, result.Degree);
        }
        finally
        {
            _cluster.Nodes[0].Continue();
        }
        await _cluster.Nodes[0].WaitForExitAsync();  // by itself: nobody ends it
        await Assert.ThrowsAnyAsync<Exception>(() => zombieCommit);
        for (int node = 1; node < 3; node++)
            Assert.Equal(2, await ReadAsync(node, dataset, "the zombie's end"));
        await _cluster.RestartAsync(0);
        await _cluster.WaitUntilHealthyAsync(dataset);
        Assert.Equal(2, await ReadAsync(0, dataset, "its return"));
    }

    /// <summary>
    /// It sleeps with commits, an acquire and a barrier under way, and wakes with a commit and an open to do. None of them can succeed any more, and nor can an orderly
    /// stop; none may keep its process, because until that is gone its node cannot be started again.
    /// </summary>
    [Fact]
    public async Task AFencedSiloEndsAtOnce()
    {
        Dataset dataset = await _cluster.CreateAsync("fenced", 16 << 20, degree: 3);
        for (int chunk = 0; chunk < 3; chunk++)
            await _cluster.On(chunk).StoreAndCommitAsync(dataset.Name, [Value(chunk, 1)], CommitOptions.Default);
        Dataset counted = await _cluster.CreateAsync("counted", 16 << 20, degree: 3);
        Dataset unopened = await _cluster.CreateAsync("unopened", 16 << 20, degree: 3);
        await _cluster.On(1).StartAcquiringAsync(dataset.Name, 0, 4096);
        await _cluster.EventuallyAsync(async () => await GrantsOfAsync(dataset, _cluster.Nodes[1].Id) > 0, "node 1 holds the grant");
        List<Task> lost =
        [
            _cluster.On(0).AddAsync(counted.Name, 0, int.MaxValue),
            _cluster.On(0).HoldGrantAsync(dataset.Name, 0, 4096, []),
            _cluster.On(0).MeetAsync("nobody else comes", participants: 2, times: 1),
        ];
        await _cluster.EventuallyAsync(
            async () => BinaryPrimitives.ReadInt64LittleEndian(await _cluster.Grains.NodeGrain(_cluster.Nodes[1].Id).ReadAllAsync(counted, 0, 8)) > 10, "node 0 commits");
        _cluster.Nodes[0].Stop();
        lost.Add(_cluster.On(0).CommitAsync(dataset.Name, AnyDegree));
        lost.Add(_cluster.On(0).StoreAsync(unopened.Name, [Value(0, 1)]));
        try
        {
            await _cluster.EventuallyAsync(
                async () => !(await _cluster.Grains.DatasetGrain(dataset.Id).GetHealthAsync()).Members.Contains(_cluster.Nodes[0].Id), "the others have declared it dead");
        }
        finally
        {
            _cluster.Nodes[0].Continue();
        }
        long woke = Stopwatch.GetTimestamp();
        await _cluster.Nodes[0].WaitForExitAsync();
        TimeSpan took = Stopwatch.GetElapsedTime(woke);
        Assert.True(took < TimeSpan.FromSeconds(5), $"It took {took.TotalSeconds:F1} s:\n{_cluster.Nodes[0].Log}");
        foreach (Task call in lost)
            await Assert.ThrowsAnyAsync<Exception>(() => call);
    }

    private async Task<int> GrantsOfAsync(Dataset dataset, NodeId holder)
    {
        ChunkEntry entry = (await _cluster.Grains.DatasetGrain(dataset.Id).GetEntriesAsync([new ChunkIndex(0)]))[0];
        GrantInfo[] grants = await _cluster.Grains.OwnerGrain(dataset.Id, entry.Owner).ListGrantsAsync();
        return grants.Count(grant => grant.Holder.Node == holder);
    }

    /// <summary>Held to what the embedded host promises: a dead process is noticed at once, so detection is part of the measured time.</summary>
    [Fact]
    public async Task ReadsOfADeadOwnersChunksResumeWithinASecond()
    {
        const int dataBytes = 256 << 20, block = 8 << 20;
        Dataset dataset = await _cluster.CreateAsync("promotion", dataBytes, degree: 3);
        byte[] bytes = new byte[block];
        new Random(3).NextBytes(bytes);
        for (long offset = 0; offset < dataBytes; offset += block)
            await _cluster.On(0).StoreAndCommitAsync(dataset.Name, [new Stored { Offset = offset, Bytes = bytes }], new CommitOptions { Timeout = TimeSpan.FromMinutes(1) });
        await _cluster.Nodes[0].KillAsync();
        long started = Stopwatch.GetTimestamp();
        foreach (long offset in (long[])[0, dataBytes / 2, dataBytes - 4096])
        {
            byte[] read = await _cluster.RetryAsync(() => _cluster.Grains.NodeGrain(_cluster.Nodes[1].Id).ReadAllAsync(dataset, offset, 4096), "a page is read");
            Assert.True(read.AsSpan().SequenceEqual(bytes.AsSpan((int)(offset % block), 4096)));
        }
        Assert.InRange(Stopwatch.GetElapsedTime(started).TotalMilliseconds, 0, 1000);
        await _cluster.EventuallyAsync(
            async () => await _cluster.Grains.DatasetGrain(dataset.Id).GetHealthAsync() is { Recovering: 0 }, "all chunks are promoted", seconds: 5);
    }

    private async Task<int> DeathAsync(int node)
    {
        await _cluster.Nodes[node].WaitForExitAsync();
        return node;
    }

    /// <summary>False: refused, or nobody was left to say.</summary>
    private async Task<bool> TryCommitAsync(int committing, Dataset dataset, Stored[] stores)
    {
        try
        {
            await _cluster.On(committing).StoreAndCommitAsync(dataset.Name, stores, AnyDegree);
            return true;
        }
        catch (Exception failure) when (failure is HotpotException or OrleansException or TimeoutException)
        {
            return false;
        }
    }

    /// <summary>The one value that all pages of the first three chunks have on this node.</summary>
    private async Task<long> ReadAsync(int node, Dataset dataset, string after)
    {
        HashSet<long> found = [];
        for (int chunk = 0; chunk < 3; chunk++)
        {
            byte[] bytes = await _cluster.RetryAsync(
                () => _cluster.Grains.NodeGrain(_cluster.Nodes[node].Id).ReadAllAsync(dataset, (long)chunk * ChunkBytes, Pages * 4096),
                $"node {node} can read after {after}");
            for (int page = 0; page < Pages; page++)
                found.Add(BinaryPrimitives.ReadInt64LittleEndian(bytes.AsSpan(page * 4096)));
        }
        return Assert.Single(found);
    }

    private static Stored Value(int chunk, long value)
    {
        byte[] bytes = new byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, value);
        return new Stored { Offset = (long)chunk * ChunkBytes, Bytes = bytes, Count = Pages };
    }
}
