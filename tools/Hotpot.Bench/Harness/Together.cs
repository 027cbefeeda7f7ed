namespace Hotpot.Bench.Harness;

/// <summary>Several nodes' workloads as one side: they run their turns at the same time.</summary>
internal static class Together
{
    /// <summary>Operations are those of all; the turn is as long as the longest. There are no single times: the rate counts.</summary>
    public static Side ByRate(string name, IReadOnlyList<Side> sides) => new(name, async cancellation =>
    {
        var turns = await Task.WhenAll(sides.Select(side => side.RunAsync(cancellation)));
        var total = turns.Sum(turn => turn.Operations);
        return new Turn
        {
            Us = [], Operations = total, Seconds = turns.Max(turn => turn.Seconds),
            // 1: all did the same number.
            More = new() { ["least_share"] = turns.Min(turn => turn.Operations) * (double)turns.Length / total },
        };
    });

    /// <summary>The turn of the first, while the others do their part in it.</summary>
    public static Side ByFirst(string name, IReadOnlyList<Side> sides) => new(name, async cancellation =>
    {
        var turns = await Task.WhenAll(sides.Select(side => side.RunAsync(cancellation)));
        return turns[0];
    });
}
