using System.Buffers.Binary;

namespace Hotpot.Cluster.Tests;

/// <summary>A chunk follows the node that uses it most while all nodes commit to it, and no commit is lost or carried out twice on the way.</summary>
public sealed class MigrationTests : IAsyncLifetime
{
    private TestCluster _cluster = null!;

    public async Task InitializeAsync() =>
        _cluster = await TestCluster.StartAsync(3, settings: new() { ["MigrationInterval"] = "00:00:00.250", ["MigrationMinimumPages"] = "20" });

    public async Task DisposeAsync() => await _cluster.DisposeAsync();

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public async Task AChunkFollowsItsHeaviestUserUnderLoad(int degree)
    {
        Dataset dataset = await _cluster.CreateAsync("followed", 4 << 20, degree);
        await _cluster.On(0).AddAsync(dataset.Name, 0, 1);
        long added = 1;
        Assert.Equal(0, await OwnerAsync(dataset));

        foreach (int heavy in new[] { 2, 1, 0 })
        {
            using CancellationTokenSource moved = new();
            // All nodes add to the same number: a commit that a change of owner loses, or carries out twice, makes it wrong.
            Task<long>[] adders = [.. Enumerable.Range(0, 3).Select(node => AddAsync(node, dataset, node == heavy ? 40 : 1, moved.Token))];
            await _cluster.EventuallyAsync(async () => await OwnerAsync(dataset) == heavy, $"node {heavy}, its heaviest user, owns the chunk");
            await moved.CancelAsync();
            added += (await Task.WhenAll(adders)).Sum();
        }

        await _cluster.WaitUntilHealthyAsync(dataset);
        for (int node = 0; node < 3; node++)
            Assert.Equal(added, BinaryPrimitives.ReadInt64LittleEndian(await _cluster.On(node).LoadAsync(dataset.Name, 0, 8)));
    }

    private async Task<long> AddAsync(int node, Dataset dataset, int times, CancellationToken stop)
    {
        long added = 0;
        while (!stop.IsCancellationRequested)
        {
            await _cluster.On(node).AddAsync(dataset.Name, 0, times);
            added += times;
            // The others use the chunk now and then.
            if (times == 1)
                await Task.WhenAny(Task.Delay(TimeSpan.FromMilliseconds(50), stop));
        }
        return added;
    }

    private async Task<int> OwnerAsync(Dataset dataset)
    {
        ChunkEntry entry = Assert.Single(await _cluster.Grains.DatasetGrain(dataset.Id).GetEntriesAsync([new ChunkIndex(0)]));
        return Enumerable.Range(0, 3).FirstOrDefault(node => _cluster.Nodes[node].Id == entry.Owner, -1);
    }
}
