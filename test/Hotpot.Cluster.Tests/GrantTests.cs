using System.Buffers.Binary;

namespace Hotpot.Cluster.Tests;

/// <summary>Grants of processes that are killed, and what readers with a grant see.</summary>
public sealed class GrantTests : IAsyncLifetime
{
    private const string Name = "grants";
    private static readonly CommitOptions AnyDegree = new() { MinDegree = 1, Timeout = TimeSpan.FromSeconds(20) };

    private TestCluster _cluster = null!;

    public async Task InitializeAsync() => _cluster = await TestCluster.StartAsync(3);

    public async Task DisposeAsync() => await _cluster.DisposeAsync();

    /// <summary>
    /// Node 0 owns, node 1 holds and commits on, node 2 waits. The owner is killed: the holder goes on as if nothing had happened, and nobody else gets the pages
    /// before it lets go. Then the holder is killed: the next in line gets them, and every acknowledged commit is there.
    /// </summary>
    [Fact]
    public async Task AHolderOutlivesItsOwnerAndTheNextInLineOutlivesTheHolder()
    {
        const int times = 60;
        Dataset dataset = await _cluster.CreateAsync(Name, 4 << 20, degree: 3, SharingMode.SingleWriter);
        await _cluster.On(0).HoldGrantAsync(Name, 0, 8192, [new Stored { Offset = 8, Bytes = [1] }]);
        Assert.Equal(_cluster.Nodes[0].Id, Assert.Single(await _cluster.Grains.DatasetGrain(dataset.Id).GetEntriesAsync([new ChunkIndex(0)])).Owner);
        await GrantedAsync(1);
        await _cluster.On(1).StartAddingAsync(Name, 0, times);
        await _cluster.On(2).StartAcquiringAsync(Name, 0, 8192);
        await _cluster.EventuallyAsync(async () => await _cluster.On(1).GetAddedAsync(Name, 0) >= 5, "the holder commits");
        await _cluster.Nodes[0].KillAsync();
        await _cluster.EventuallyAsync(
            async () =>
            {
                Assert.False(await _cluster.On(2).HasGrantAsync(Name, 0), "two nodes hold the same pages");
                return await _cluster.On(1).GetAddedAsync(Name, 0) == times;
            },
            "the holder has committed everything");
        Assert.Equal(times, await ReadAsync(dataset, node: 2));
        await Assert.ThrowsAsync<NotAcquiredException>(() => _cluster.On(2).StoreAndCommitAsync(Name, [new Stored { Offset = 0, Bytes = [99] }], AnyDegree));
        Assert.False(await _cluster.On(2).HasGrantAsync(Name, 0));

        await _cluster.Nodes[1].KillAsync();
        await _cluster.EventuallyAsync(() => _cluster.On(2).HasGrantAsync(Name, 0), "the next in line is granted the pages");
        // Its own refused store is still there, private; what counts is what was committed.
        Assert.Equal(times, await ReadAsync(dataset, node: 2));
        await _cluster.RetryAsync(() => _cluster.On(2).StoreAndCommitAsync(Name, [new Stored { Offset = 0, Bytes = [77, 0, 0, 0, 0, 0, 0, 0] }], AnyDegree), "it commits");
        Assert.Equal(77, await ReadAsync(dataset, node: 2));
    }

    /// <summary>Two nodes commit over three owners as fast as they can; each picture taken meanwhile, on a writer's node too, is of one commit.</summary>
    [Fact]
    public async Task AConsistentReadIsAtomicOverPagesOfSeveralOwners()
    {
        const int chunk = 64 << 10, commits = 60, pictures = 3;
        Dataset dataset = await _cluster.Hotpot.CreateDatasetAsync(Name, 4 * chunk, new DatasetOptions { Degree = 2, ChunkBytes = chunk });
        long[] offsets = [0, 4096, chunk + 8, 2 * chunk + 4096];
        foreach ((int node, long offset) in new[] { (0, 0L), (1, chunk), (2, 2L * chunk) })
            await _cluster.On(node).StoreAndCommitAsync(Name, [new Stored { Offset = offset + 16, Bytes = [1] }], CommitOptions.Default);
        ChunkEntry[] entries = await _cluster.Grains.DatasetGrain(dataset.Id).GetEntriesAsync([new(0), new(1), new(2)]);
        Assert.Equal(3, entries.Select(entry => entry.Owner).Distinct().Count());

        // Bytes of two commits to one word would merge; each writer has words of its own in the same pages.
        long[] others = [.. offsets.Select(offset => offset + 64)];
        long[] all = [.. offsets, .. others];
        Task writing = Task.WhenAll(_cluster.On(0).StampAsync(Name, offsets, 1000, commits), _cluster.On(1).StampAsync(Name, others, 2000, commits));
        List<long[]> taken = [];
        while (!writing.IsCompleted)
        {
            long[][][] read = await Task.WhenAll(_cluster.On(0).ReadPicturesAsync(Name, all, pictures), _cluster.On(2).ReadPicturesAsync(Name, all, pictures));
            taken.AddRange(read.SelectMany(list => list));
        }
        await writing;
        Assert.All(taken.SelectMany(picture => picture.Chunk(offsets.Length)), one => Assert.True(one.Distinct().Count() == 1, $"torn: {string.Join(", ", one)}"));
        // They were really taken while it changed.
        Assert.True(taken.Select(picture => (picture[0], picture[^1])).Distinct().Count() > 3, string.Join(", ", taken.Select(picture => picture[0]).Distinct()));
        long[] last = Assert.Single(await _cluster.On(1).ReadPicturesAsync(Name, all, 1));
        Assert.Equal((1000 + commits - 1, 2000 + commits - 1), (last[0], last[^1]));
    }

    private async Task GrantedAsync(int node)
    {
        await _cluster.On(node).StartAcquiringAsync(Name, 0, 8192);
        await _cluster.EventuallyAsync(() => _cluster.On(node).HasGrantAsync(Name, 0), $"node {node} is granted the pages");
    }

    /// <summary>The committed number, as a node that may have stores of its own sees it.</summary>
    private async Task<long> ReadAsync(Dataset dataset, int node) => BinaryPrimitives.ReadInt64LittleEndian(
        await _cluster.RetryAsync(() => _cluster.Grains.NodeGrain(_cluster.Nodes[node].Id).ReadAllAsync(dataset, 0, 8), $"node {node} can read"));
}
