using System.Security.Cryptography;

namespace Hotpot.Cluster.Tests;

/// <summary>Everything acknowledged survives kill -9 of each node in turn, and of all of them.</summary>
public sealed class DurabilityTests
{
    [Theory]
    [InlineData("Pmem")]
    [InlineData("File")]
    public async Task EveryAcknowledgedCommitSurvivesKillingEachNodeAndThenAll(string medium)
    {
        await using TestCluster cluster = await TestCluster.StartAsync(3, medium);
        Dataset dataset = await cluster.CreateAsync("ledger", 32 << 20, degree: 3);
        byte[] expected = new byte[dataset.Size];
        Random random = new(17);
        for (int victim = 0; victim < 3; victim++)
        {
            await WriteAsync(cluster, dataset, expected, random, commits: 40);
            await cluster.Nodes[victim].KillAsync();
            for (int node = 0; node < 3; node++)
            {
                if (node != victim)
                    await AssertHoldsAsync(cluster, dataset, node, expected);
            }
            await cluster.RestartAsync(victim);
            await cluster.WaitUntilHealthyAsync(dataset);
            await AssertHoldsAsync(cluster, dataset, victim, expected);
        }

        await WriteAsync(cluster, dataset, expected, random, commits: 40);
        await Task.WhenAll(cluster.Nodes.Select(node => node.KillAsync()));
        await cluster.RestartAllAsync();
        await cluster.WaitUntilHealthyAsync(dataset);
        for (int node = 0; node < 3; node++)
            await AssertHoldsAsync(cluster, dataset, node, expected);
    }

    [Fact]
    public async Task AnOrderlyRestartOfAllNodesLosesNothing()
    {
        await using TestCluster cluster = await TestCluster.StartAsync(3, "File");
        Dataset dataset = await cluster.CreateAsync("orderly", 32 << 20, degree: 3);
        byte[] expected = new byte[dataset.Size];
        await WriteAsync(cluster, dataset, expected, new Random(5), commits: 60);
        for (int node = 0; node < 3; node++)
        {
            cluster.Nodes[node].Terminate();
            await cluster.Nodes[node].WaitForExitAsync();
            Assert.Equal(0, cluster.Nodes[node].ExitCode);
            await cluster.RestartAsync(node);
            await cluster.WaitUntilHealthyAsync(dataset);
        }
        for (int node = 0; node < 3; node++)
            await AssertHoldsAsync(cluster, dataset, node, expected);
    }

    [Fact]
    public async Task ANodeThatLostItsDataDirectoryIsFilledAgain()
    {
        await using TestCluster cluster = await TestCluster.StartAsync(3);
        Dataset dataset = await cluster.CreateAsync("refill", 16 << 20, degree: 2);
        byte[] expected = new byte[dataset.Size];
        await WriteAsync(cluster, dataset, expected, new Random(9), commits: 40);
        await cluster.Nodes[0].KillAsync();
        Directory.Delete(cluster.DataDirectory(0), recursive: true);
        await cluster.WaitUntilHealthyAsync(dataset);
        await cluster.RestartAsync(0);
        for (int node = 0; node < 3; node++)
            await AssertHoldsAsync(cluster, dataset, node, expected);
    }

    [Fact]
    public async Task FewerNodesThanTheDegreeIsAnErrorAndAnAcceptedSmallerDegreeIsNot()
    {
        await using TestCluster cluster = await TestCluster.StartAsync(3);
        Dataset dataset = await cluster.CreateAsync("degraded", 4 << 20, degree: 3);
        await cluster.On(0).StoreAndCommitAsync("degraded", [new Store { Offset = 0, Bytes = [1] }], CommitOptions.Default);
        await cluster.Nodes[2].KillAsync();
        DegreeException error = await Assert.ThrowsAsync<DegreeException>(
            () => cluster.On(0).StoreAndCommitAsync("degraded", [new Store { Offset = 0, Bytes = [2] }], new CommitOptions { Timeout = TimeSpan.FromSeconds(8) }));
        Assert.False(error.Committed);
        Assert.Equal([1], await cluster.Grains.NodeGrain(cluster.Nodes[1].Id).ReadAllAsync(dataset, 0, 1));
        CommitResult result = await cluster.On(0).CommitAsync("degraded", new CommitOptions { MinDegree = 2 });
        Assert.Equal(2, result.Degree);
        Assert.Equal([2], await cluster.Grains.NodeGrain(cluster.Nodes[1].Id).ReadAllAsync(dataset, 0, 1));
    }

    private static async Task WriteAsync(TestCluster cluster, Dataset dataset, byte[] expected, Random random, int commits)
    {
        for (int i = 0; i < commits; i++)
        {
            byte[] bytes = new byte[random.Next(1, 20000)];
            random.NextBytes(bytes);
            int offset = random.Next(0, (int)dataset.Size - bytes.Length);
            CommitResult result = await cluster.On(i % 3).StoreAndCommitAsync(dataset.Name, [new Store { Offset = offset, Bytes = bytes }], CommitOptions.Default);
            Assert.Equal(dataset.Description.Degree, result.Degree);
            bytes.CopyTo(expected, offset);
        }
    }

    private static async Task AssertHoldsAsync(TestCluster cluster, Dataset dataset, int node, byte[] expected)
    {
        INodeGrain grain = cluster.Grains.NodeGrain(cluster.Nodes[node].Id);
        byte[] found = await cluster.RetryAsync(() => grain.ReadAllAsync(dataset, 0, dataset.Size), $"node {node} can read everything");
        Assert.Equal(Convert.ToHexString(SHA256.HashData(expected)), Convert.ToHexString(SHA256.HashData(found)));
    }
}
