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

    /// <summary>
    /// Every node is stopped and started again in turn while clients commit all the time. Each commit that succeeds has its full degree, and commits succeed while a node is
    /// away; one that fails says so. In the end every acknowledged number is in its place on every node.
    /// </summary>
    [Fact]
    public async Task ARollingRestartUnderLoadLosesNothingAndNeverClaimsCopiesThatAreNotThere()
    {
        await using TestCluster cluster = await TestCluster.StartAsync(3);
        Dataset dataset = await cluster.CreateAsync("rolling", 16 << 20, degree: 2);
        using CancellationTokenSource done = new();
        int acknowledged = 0;
        Task<List<long>>[] writers = [.. Enumerable.Range(0, 3).Select(writer => Task.Run(() => WriteAsync(writer)))];
        await cluster.EventuallyAsync(() => Task.FromResult(Volatile.Read(ref acknowledged) > 20), "commits succeed");
        for (int node = 0; node < 3; node++)
        {
            cluster.Nodes[node].Terminate();
            await cluster.Nodes[node].WaitForExitAsync();
            Assert.Equal(0, cluster.Nodes[node].ExitCode);
            int before = Volatile.Read(ref acknowledged);
            await cluster.EventuallyAsync(() => Task.FromResult(Volatile.Read(ref acknowledged) > before + 10), $"commits succeed without node {node}");
            await cluster.RestartAsync(node);
            await cluster.WaitUntilHealthyAsync(dataset);
        }
        await done.CancelAsync();
        List<long>[] written = await Task.WhenAll(writers);
        await cluster.WaitUntilHealthyAsync(dataset);
        for (int reader = 0; reader < 3; reader++)
        {
            INodeGrain grain = cluster.Grains.NodeGrain(cluster.Nodes[reader].Id);
            byte[] found = await cluster.RetryAsync(() => grain.ReadAllAsync(dataset, 0, dataset.Size), $"node {reader} can read everything");
            for (int writer = 0; writer < 3; writer++)
            {
                foreach (long number in written[writer])
                    Assert.Equal(number, BitConverter.ToInt64(found, (int)PlaceOf(writer, number)));
            }
        }

        // Each number has a place of its own, so one whose answer was lost may commit whenever it likes.
        async Task<List<long>> WriteAsync(int writer)
        {
            List<long> numbers = [];
            int through = writer;
            using PeriodicTimer pause = new(TimeSpan.FromMilliseconds(20));
            for (long number = 1; !done.IsCancellationRequested; number++)
            {
                try
                {
                    CommitResult result = await cluster.Grains.NodeGrain(cluster.Nodes[through].Id).WriteAsync(
                        dataset.Id, PlaceOf(writer, number), BitConverter.GetBytes(number), new CommitOptions { Timeout = TimeSpan.FromSeconds(15) });
                    Assert.Equal(2, result.Degree);
                    numbers.Add(number);
                    Interlocked.Increment(ref acknowledged);
                }
                catch (Exception failure) when (failure is HotpotException or OrleansException or TimeoutException)
                {
                    through = (through + 1) % 3;
                }
                await pause.WaitForNextTickAsync();
            }
            return numbers;
        }

        static long PlaceOf(int writer, long number) => number % 4 * (4L << 20) + writer * (1L << 20) + number * sizeof(long);
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
        await cluster.On(0).StoreAndCommitAsync("degraded", [new Stored { Offset = 0, Bytes = [1] }], CommitOptions.Default);
        await cluster.Nodes[2].KillAsync();
        DegreeException error = await Assert.ThrowsAsync<DegreeException>(
            () => cluster.On(0).StoreAndCommitAsync("degraded", [new Stored { Offset = 0, Bytes = [2] }], new CommitOptions { Timeout = TimeSpan.FromSeconds(8) }));
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
            CommitResult result = await cluster.On(i % 3).StoreAndCommitAsync(dataset.Name, [new Stored { Offset = offset, Bytes = bytes }], CommitOptions.Default);
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
