using Hotpot.Bench.Harness;

namespace Hotpot.Tests.Bench;

public sealed class DuelTests
{
    private static readonly Row s_about = new() { Case = "case", Placement = "pinned", Transport = "tcp", Medium = "pmem", N = 0 };

    [Fact]
    public void Times_are_compared_by_the_medians_of_all_samples()
    {
        var row = Duel.Compare(s_about, [Timed(1, 2, 30), Timed(2, 2, 2)], "peer", [Timed(4, 4, 4), Timed(8, 6, 4)], target: 1.5);

        Assert.Equal(6, row.N);
        Assert.Equal(2, row.P50Us);
        Assert.Equal(30, row.P99Us);
        Assert.Equal(6.5, row.MeanUs);
        Assert.Equal("peer", row.Peer);
        Assert.Equal(4, row.PeerP50Us);
        Assert.Equal(2, row.Ahead);
        // Of the single turns: 4 / 2 and 6 / 2.
        Assert.Equal(2, row.AheadMin);
        Assert.Equal(3, row.AheadMax);
        Assert.True(row.Met);
    }

    [Fact]
    public void Rates_are_compared_where_a_side_has_no_times()
    {
        var row = Duel.Compare(s_about, [Rated(100), Rated(300), Rated(200)], "peer", [Rated(400), Rated(400), Rated(800)], target: 0.7);

        Assert.Null(row.P50Us);
        Assert.Null(row.PeerP50Us);
        Assert.Equal(200, row.OpsS);
        Assert.Equal(400, row.PeerOpsS);
        Assert.Equal(0.5, row.Ahead);
        Assert.Equal(0.25, row.AheadMin);
        Assert.Equal(0.75, row.AheadMax);
        Assert.False(row.Met);
    }

    [Fact]
    public void Without_a_target_nothing_is_met_or_missed()
    {
        Assert.Null(Duel.Compare(s_about, [Timed(1)], "peer", [Timed(1)], target: null).Met);
        Assert.Null(Duel.State(s_about, [Timed(1)]).Met);
    }

    [Fact]
    public void Further_figures_are_the_medians_of_the_turns()
    {
        Turn With(double value) => Timed(1) with { More = new() { ["engine_us"] = value } };

        Assert.Equal(3, Duel.State(s_about, [With(9), With(1), With(3)]).More!["engine_us"]);
        Assert.Null(Duel.State(s_about, [Timed(1)]).More);
    }

    [Fact]
    public async Task Turns_alternate_and_who_begins_alternates_and_the_first_pair_does_not_count()
    {
        List<string> order = [];
        var calls = 0;
        // The pair that does not count would spoil the median and every ratio.
        Side ours = new("ours", _ => Run("ours", order.Count < 2 ? 1e6 : 1));
        Side theirs = new("theirs", _ => Run("theirs", order.Count < 2 ? 1e-6 : 2));

        var row = await Duel.RunAsync(s_about, ours, theirs, target: null, turns: 1, CancellationToken.None);

        Assert.Equal(2 * (Duel.TurnsMin + 1), calls);
        for (var pair = 0; pair < order.Count; pair += 2)
        {
            Assert.NotEqual(order[pair], order[pair + 1]);
            if (pair >= 2)
                Assert.NotEqual(order[pair], order[pair - 2]);
        }

        Assert.Equal(Duel.TurnsMin, row.N);
        Assert.Equal((2, 2, 2), (row.Ahead, row.AheadMin, row.AheadMax));

        Task<Turn> Run(string who, double us)
        {
            calls++;
            order.Add(who);
            return Task.FromResult(Timed(us));
        }
    }

    [Fact]
    public async Task A_cancellation_ends_a_duel_before_its_next_turn()
    {
        using CancellationTokenSource source = new();
        var turns = 0;
        Side side = new("side", cancellation =>
        {
            cancellation.ThrowIfCancellationRequested();
            if (++turns == 3)
                source.Cancel();
            return Task.FromResult(Timed(1));
        });

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => Duel.RunAsync(s_about, side, side, target: null, turns: 5, source.Token));
        Assert.Equal(3, turns);
    }

    internal static Turn Timed(params double[] us) => new() { Us = us, Operations = us.Length, Seconds = us.Sum() / 1e6 };

    private static Turn Rated(long perSecond) => new() { Us = [], Operations = 2 * perSecond, Seconds = 2 };
}
