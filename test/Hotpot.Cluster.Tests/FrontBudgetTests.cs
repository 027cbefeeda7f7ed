using Hotpot.Grains;

namespace Hotpot.Cluster.Tests;

/// <summary>A dataset of eight times the front's budget, written and read through silos.</summary>
public sealed class FrontBudgetTests
{
    private const long Budget = 8 << 20;
    private const long Size = 8 * Budget;
    private const int Piece = 1 << 20;

    [Fact]
    public async Task ADatasetMuchLargerThanTheBudgetIsWrittenReadAndRestarted()
    {
        await using TestCluster cluster = await TestCluster.StartAsync(3, settings: new() { ["FrontBudget"] = Budget.ToString(System.Globalization.CultureInfo.InvariantCulture) });
        Dataset dataset = await cluster.CreateAsync("large", Size, degree: 2);
        for (int piece = 0; piece < Size / Piece; piece++)
        {
            byte[] bytes = new byte[Piece];
            Array.Fill(bytes, (byte)(piece + 1));
            CommitResult result = await cluster.On(piece % 2).StoreAndCommitAsync(
                "large", [new Stored { Offset = (long)piece * Piece, Bytes = bytes }], CommitOptions.Default);
            Assert.Equal(2, result.Degree);
        }
        await Task.WhenAll(Enumerable.Range(0, 3).Select(node => AssertHoldsAsync(cluster, node)));
        for (int node = 0; node < 3; node++)
        {
            EngineStatistics statistics = (await cluster.Grains.NodeGrain(cluster.Nodes[node].Id).StatAsync()).Statistics;
            Assert.Equal((ulong)Budget, statistics.FrontBudgetBytes);
            Assert.True(statistics.EvictedPages > (Size - 3 * Budget) / Limits.PageBytes, $"node {node} gave up {statistics.EvictedPages} pages");
            // Dirty pages may fill budget, slack and one commit; half a budget of pages just read is beside them, and one answer.
            Assert.InRange(statistics.FrontBytes, 1u, (ulong)(Budget + (8 << 20) + Piece + Budget / 2 + (1 << 20)));
        }

        await cluster.Nodes[0].KillAsync();
        await cluster.RestartAsync(0);
        await cluster.EventuallyAsync(async () => (await dataset.ReadAsync(0, 1))[0] == 1, "the dataset is served again");
        await AssertHoldsAsync(cluster, 0);
    }

    private static async Task AssertHoldsAsync(TestCluster cluster, int node)
    {
        for (int piece = 0; piece < Size / Piece; piece++)
        {
            byte[] bytes = await cluster.On(node).LoadAsync("large", (long)piece * Piece, Piece);
            Assert.Equal(Piece, bytes.AsSpan().Count((byte)(piece + 1)));
        }
    }
}
