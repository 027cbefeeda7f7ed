using System.Diagnostics;

namespace Hotpot.Bench.Harness;

/// <summary>One side of a comparison: a name, and something that runs one short turn.</summary>
internal sealed record Side(string Name, Func<CancellationToken, Task<Turn>> RunAsync);

// Two sides on a shared, noisy machine.
//
// Problem: a neighbour that takes the processor for a second spoils whoever runs then, so two long runs one after the other compare neighbours.
//
// Scheme: short turns, ours and theirs in alternation, and who begins alternates too. Each pair of turns gives a ratio of its own; the row tells the ratio of
// all samples' medians and the range of the single ratios. One pair before that is not counted: it warms caches and connections.
//
// The compiler takes longer: it compiles what is called often once more, in the background, and on one core takes the time from whoever is measured. A side whose code runs for
// the first time in its processes is warmed (WarmAsync) before its first duel: ours, and a peer's client where that is managed code too.
internal static class Duel
{
    public const int TurnsMin = 5;

    /// <summary>Turns that nobody looks at, until the side's code is compiled for good.</summary>
    public static async Task WarmAsync(Side side, TimeSpan atLeast, CancellationToken cancellation)
    {
        for (var started = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(started) < atLeast;)
            await side.RunAsync(cancellation);
    }

    /// <summary>Runs both in turns. A row compares the median times, or the median rates when a side has no times of single operations.</summary>
    public static async Task<Row> RunAsync(Row about, Side ours, Side theirs, double? target, int turns, CancellationToken cancellation)
    {
        List<Turn> mine = [], other = [];
        for (var turn = -1; turn < Math.Max(turns, TurnsMin); turn++)
        {
            var first = turn % 2 == 0;
            var a = first ? await ours.RunAsync(cancellation) : null;
            var b = await theirs.RunAsync(cancellation);
            a ??= await ours.RunAsync(cancellation);
            if (turn < 0)
                continue;
            mine.Add(a);
            other.Add(b);
        }

        return Compare(about, mine, theirs.Name, other, target);
    }

    /// <summary>One side alone, for what is only stated.</summary>
    public static async Task<Row> StateAsync(Row about, Side ours, int turns, CancellationToken cancellation)
    {
        List<Turn> mine = [];
        for (var turn = -1; turn < Math.Max(turns, TurnsMin); turn++)
        {
            var run = await ours.RunAsync(cancellation);
            if (turn >= 0)
                mine.Add(run);
        }

        return State(about, mine);
    }

    public static Row State(Row about, IReadOnlyList<Turn> ours)
    {
        var times = Times(ours);
        return about with
        {
            N = ours.Sum(turn => turn.Operations),
            P50Us = times?.Median, P99Us = times?.Percentile(99), MeanUs = times?.Mean, OpsS = Rate(ours),
            More = about.More ?? MedianOfMore(ours),
        };
    }

    /// <param name="byRate">Compare rates although there are times: of operations of several kinds a median time says little.</param>
    public static Row Compare(Row about, IReadOnlyList<Turn> ours, string peer, IReadOnlyList<Turn> theirs, double? target, bool byRate = false)
    {
        var row = State(about, ours);
        var times = Times(theirs);
        var byTime = !byRate && row.P50Us is not null && times is not null;
        double[] ratios = [.. ours.Zip(theirs, (a, b) => byTime ? new Samples(b.Us).Median / new Samples(a.Us).Median : Rate([a]) / Rate([b]))];
        return row with
        {
            Peer = peer, PeerP50Us = times?.Median, PeerP99Us = times?.Percentile(99), PeerMeanUs = times?.Mean, PeerOpsS = Rate(theirs),
            Ahead = byTime ? times!.Median / row.P50Us : row.OpsS / Rate(theirs),
            AheadMin = ratios.Min(), AheadMax = ratios.Max(), Target = target,
        };
    }

    private static Samples? Times(IReadOnlyList<Turn> turns) => turns.All(turn => turn.Us.Length > 0) ? new Samples(turns.SelectMany(turn => turn.Us)) : null;

    /// <summary>The median of the turns' rates.</summary>
    private static double Rate(IReadOnlyList<Turn> turns) => new Samples(turns.Select(turn => turn.Operations / turn.Seconds)).Median;

    private static Dictionary<string, double>? MedianOfMore(IReadOnlyList<Turn> turns) =>
        turns[0].More.Count == 0 ? null : turns[0].More.Keys.ToDictionary(key => key, key => new Samples(turns.Select(turn => turn.More[key])).Median);
}
