using System.Globalization;
using Hotpot.Bench.Harness;

namespace Hotpot.Bench.Guard;

/// <summary>A row of a benchmark in its quick form, and how far ahead it has to be at least.</summary>
/// <param name="Peer">Only peers that are part of the repository, so that the rule says the same on every machine.</param>
internal sealed record GuardRule(string Bench, string Case, string Placement, string Transport, string Peer, double AheadMin)
{
    /// <summary>
    /// Every bound is about half of what was measured when it was written down: a regression of two is seen, noise is not. Who makes something faster raises
    /// its bound.
    /// </summary>
    public static IReadOnlyList<GuardRule> All { get; } =
    [
        new("load", "1 KiB of 256 MiB", "pinned", "none", "array", 0.45),
        new("load", "1 KiB of 256 MiB", "free", "none", "array", 0.45),
        new("commit", "1 KiB, degree 3, acquired", "pinned", "tcp", "UCX round trip, blocking", 0.06),
        new("commit", "1 KiB, degree 3, acquired", "free", "tcp", "UCX round trip, blocking", 0.06),
        new("miss", "4 KiB by a load", "pinned", "shm", "UCX, blocking", 0.15),
        new("miss", "4 KiB by a load", "pinned", "tcp", "UCX, blocking", 0.33),
        new("miss", "4 KiB by a load", "free", "shm", "UCX, blocking", 0.07),
        new("miss", "4 KiB by a load", "free", "tcp", "UCX, blocking", 0.2),
    ];

    public bool IsAbout(string bench, Row row) =>
        bench == Bench && row.Case == Case && row.Placement == Placement && row.Transport == Transport && row.Peer == Peer;

    public override string ToString() => $"{Bench}: {Case} ({Placement}, {Transport}) against {Peer}";
}

/// <summary>What became of a rule: the best that was seen, or null when there was no such row.</summary>
internal sealed record GuardVerdict(GuardRule Rule, double? Ahead)
{
    public bool Passed => Ahead >= Rule.AheadMin;

    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture,
        $"{(Passed ? "passed" : "FAILED")} {Rule}: {(Ahead is { } ahead ? $"ahead {ahead.ToString("0.00", CultureInfo.InvariantCulture)}" : "there is no such row")}, at least {Rule.AheadMin:0.00}");

    /// <summary>The verdict after one more run of its benchmark.</summary>
    public GuardVerdict After(string bench, IEnumerable<Row> rows)
    {
        double? best = Ahead;
        foreach (var row in rows)
        {
            if (Rule.IsAbout(bench, row) && row.Ahead is { } ahead && !(best >= ahead))
                best = ahead;
        }

        return this with { Ahead = best };
    }
}
