using System.Buffers.Binary;

namespace Hotpot.Cluster.Tests;

/// <summary>The main job: what one node stores and commits, the others load.</summary>
public sealed class SharedMemoryTests : IAsyncLifetime
{
    private TestCluster _cluster = null!;

    public async Task InitializeAsync() => _cluster = await TestCluster.StartAsync(3);

    public async Task DisposeAsync() => await _cluster.DisposeAsync();

    [Fact]
    public async Task APointerStoredOnOneNodeIsDereferencedOnTheOthers()
    {
        await _cluster.CreateAsync("pointers", 64 << 20, degree: 1);
        await _cluster.On(0).StorePointerAsync("pointers", at: 8, target: 40 << 20, value: 4711);
        Assert.Equal(4711, await _cluster.On(1).FollowPointerAsync("pointers", 8));
        Assert.Equal(4711, await _cluster.On(2).FollowPointerAsync("pointers", 8));
    }

    [Fact]
    public async Task APageWithStoresFromThreeNodesKeepsThemAll()
    {
        Dataset dataset = await _cluster.CreateAsync("merge", 16 << 20, degree: 3);
        await Task.WhenAll(Enumerable.Range(0, 3).Select(node => _cluster.On(node).StoreAsync("merge", [Every(3, node, (byte)(node + 1))])));
        CommitResult[] results = await Task.WhenAll(Enumerable.Range(0, 3).Select(node => _cluster.On(node).CommitAsync("merge", CommitOptions.Default)));
        Assert.All(results, result => Assert.Equal(3, result.Degree));
        for (int node = 0; node < 3; node++)
        {
            byte[] page = await _cluster.On(node).LoadAsync("merge", 0, 4095);
            for (int i = 0; i < page.Length; i++)
                Assert.Equal(i % 3 + 1, page[i]);
        }
        Assert.Equal(3, (await dataset.StatAsync()).Health.Members.Length);
    }

    [Fact]
    public async Task TheSameBytesConflictWhenAskedTo()
    {
        await _cluster.CreateAsync("conflict", 4 << 20, degree: 2);
        CommitOptions strict = new() { FailOnConflict = true };
        await _cluster.On(0).StoreAsync("conflict", [new Stored { Offset = 100, Bytes = [1] }]);
        await _cluster.On(1).StoreAsync("conflict", [new Stored { Offset = 100, Bytes = [2] }, new Stored { Offset = 200, Bytes = [2] }]);
        await _cluster.On(0).CommitAsync("conflict", strict);
        await Assert.ThrowsAsync<ConflictException>(() => _cluster.On(1).CommitAsync("conflict", strict));
        Assert.Equal([1], await _cluster.On(2).LoadAsync("conflict", 100, 1));
        Assert.Equal([0], await _cluster.On(2).LoadAsync("conflict", 200, 1));
    }

    [Fact]
    public async Task ManyCommitsFromAllNodesAtOnceLoseNothing()
    {
        await _cluster.CreateAsync("many", 64 << 20, degree: 2);
        await Task.WhenAll(Enumerable.Range(0, 3).Select(async node =>
        {
            for (int i = 0; i < 60; i++)
            {
                byte[] value = new byte[8];
                BinaryPrimitives.WriteInt64LittleEndian(value, i * 3 + node + 1);
                await _cluster.On(node).StoreAndCommitAsync("many", [new Stored { Offset = (i % 15) * (4 << 20) + node * 8, Bytes = value, Count = 5 }], CommitOptions.Default);
            }
        }));
        for (int reader = 0; reader < 3; reader++)
        {
            for (int chunk = 0; chunk < 15; chunk++)
            {
                byte[] bytes = await _cluster.On(reader).LoadAsync("many", chunk * (4 << 20) + 4 * 4096, 24);
                for (int node = 0; node < 3; node++)
                    Assert.Equal((45 + chunk) * 3 + node + 1, BinaryPrimitives.ReadInt64LittleEndian(bytes.AsSpan(node * 8)));
            }
        }
    }

    [Fact]
    public async Task TheGarbageCollectorNeverWaitsForManagedCodeInAMiss()
    {
        const int pages = 6000;
        await _cluster.CreateAsync("storm", (long)pages * 4096, degree: 1);
        byte[] number = new byte[8];
        for (int from = 0; from < pages; from += 1000)
        {
            Stored[] stores = [.. Enumerable.Range(from, 1000).Select(page =>
            {
                byte[] bytes = new byte[8];
                BinaryPrimitives.WriteInt64LittleEndian(bytes, page + 1);
                return new Stored { Offset = (long)page * 4096, Bytes = bytes };
            })];
            await _cluster.On(0).StoreAndCommitAsync("storm", stores, CommitOptions.Default);
        }
        // Node 0 holds every page and collects too while it serves them: were managed code on either side of a miss, both would stand still.
        Task<StormResult> owner = _cluster.On(0).GcStormAsync("storm", pages, threads: 2, rounds: 20);
        StormResult[] results = await Task.WhenAll(_cluster.On(1).GcStormAsync("storm", pages, 4, 1), _cluster.On(2).GcStormAsync("storm", pages, 4, 1), owner);
        Assert.All(results, result =>
        {
            Assert.Equal(0, result.Wrong);
            Assert.True(result.Collections > 0);
            Assert.InRange(result.LongestPauseMs, 0, 5000);
        });
    }

    [Fact]
    public async Task GrantsAreExclusiveAndFair()
    {
        await _cluster.CreateAsync("grants", 4 << 20, degree: 2, SharingMode.SingleWriter);
        await Assert.ThrowsAsync<NotAcquiredException>(
            () => _cluster.On(0).StoreAndCommitAsync("grants", [new Stored { Offset = 0, Bytes = [1] }], CommitOptions.Default));
        await Task.WhenAll(Enumerable.Range(0, 3).Select(async node =>
        {
            for (int i = node; i < 9; i += 3)
                await _cluster.On(node).HoldGrantAsync("grants", 8192, 4096, [new Stored { Offset = 8192 + i, Bytes = [(byte)(i + 1)] }]);
        }));
        Assert.Equal([1, 2, 3, 4, 5, 6, 7, 8, 9], await _cluster.On(1).LoadAsync("grants", 8192, 9));
        await Assert.ThrowsAsync<AlreadyAcquiredException>(() => _cluster.On(2).AcquireTwiceAsync("grants"));
    }

    [Fact]
    public async Task ABarrierIsUsedAgainAndAgainWithoutARace() =>
        await Task.WhenAll(Enumerable.Range(0, 3).Select(node => _cluster.On(node).MeetAsync("fast", 3, 100)));

    [Fact]
    public async Task AnOccupiedBaseAddressIsAClearError()
    {
        await _cluster.CreateAsync("occupied", 4 << 20, degree: 1);
        AddressInUseException error = await Assert.ThrowsAsync<AddressInUseException>(() => _cluster.On(0).MapOverOccupiedAddressAsync("occupied"));
        Assert.Contains("0x", error.Message);
        await _cluster.On(0).StoreAndCommitAsync("occupied", [new Stored { Offset = 0, Bytes = [1] }], CommitOptions.Default);
    }

    private static Stored Every(int step, int from, byte value) => new() { Offset = from, Bytes = [value], Count = 4095 / step, Stride = step };
}
