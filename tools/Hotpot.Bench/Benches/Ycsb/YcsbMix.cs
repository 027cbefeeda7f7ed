namespace Hotpot.Bench.Benches.Ycsb;

internal enum YcsbOperation
{
    Read,
    Update,
    Insert,
    Scan,
    ReadModifyWrite,
}

/// <summary>One of the six core workloads: proportions in percent, and which records are popular.</summary>
/// <param name="PublishedOpsS">What the ancestor's paper reports for a document store on Hotpot, on its own machines.</param>
internal sealed record YcsbMix(char Name, int Read, int Update, int Insert, int Scan, int ReadModifyWrite, bool IsLatest, double PublishedOpsS)
{
    public static readonly IReadOnlyList<YcsbMix> All =
    [
        new('A', 50, 50, 0, 0, 0, false, 11_800),
        new('B', 95, 5, 0, 0, 0, false, 12_200),
        new('C', 100, 0, 0, 0, 0, false, 13_700),
        new('D', 95, 0, 5, 0, 0, true, 11_000),
        new('E', 0, 0, 5, 95, 0, false, 5_100),
        new('F', 50, 0, 0, 0, 50, false, 10_000),
    ];

    public static YcsbMix Of(string name) => All.First(mix => mix.Name == name[0]);

    public YcsbOperation Next(Random random)
    {
        var drawn = random.Next(100);
        if ((drawn -= Read) < 0)
            return YcsbOperation.Read;
        if ((drawn -= Update) < 0)
            return YcsbOperation.Update;
        if ((drawn -= Insert) < 0)
            return YcsbOperation.Insert;
        return drawn - Scan < 0 ? YcsbOperation.Scan : YcsbOperation.ReadModifyWrite;
    }
}
