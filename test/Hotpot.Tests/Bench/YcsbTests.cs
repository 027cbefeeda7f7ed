using Hotpot.Bench.Benches.Ycsb;

namespace Hotpot.Tests.Bench;

public sealed class YcsbTests
{
    [Fact]
    public void TheMixesAreWholeAndAreDrawnInTheirProportions()
    {
        Assert.Equal("ABCDEF", string.Concat(YcsbMix.All.Select(mix => mix.Name)));
        foreach (YcsbMix mix in YcsbMix.All)
        {
            Assert.Equal(100, mix.Read + mix.Update + mix.Insert + mix.Scan + mix.ReadModifyWrite);
            Random random = new(1);
            Dictionary<YcsbOperation, int> drawn = Enumerable.Range(0, 20_000).Select(_ => mix.Next(random)).CountBy(operation => operation).ToDictionary();
            (YcsbOperation Operation, int Percent)[] all =
            [
                (YcsbOperation.Read, mix.Read), (YcsbOperation.Update, mix.Update), (YcsbOperation.Insert, mix.Insert), (YcsbOperation.Scan, mix.Scan),
                (YcsbOperation.ReadModifyWrite, mix.ReadModifyWrite),
            ];
            foreach ((YcsbOperation operation, int percent) in all)
                Assert.InRange(drawn.GetValueOrDefault(operation), percent == 0 ? 0 : percent * 200 - 400, percent == 0 ? 0 : percent * 200 + 400);
        }
    }

    [Fact]
    public void PopularityFollowsZipfsLaw()
    {
        const int items = 1000, draws = 400_000;
        Zipfian zipfian = new(items);
        Random random = new(2);
        int[] seen = new int[items];
        for (int i = 0; i < draws; i++)
            seen[zipfian.Next(random)]++;
        double zeta = Enumerable.Range(1, items).Sum(i => 1 / Math.Pow(i, 0.99));
        // The first two are exact by construction, the rest is an approximation of the distribution function.
        Assert.InRange(seen[0] / (double)draws, 0.97 / zeta, 1.03 / zeta);
        Assert.InRange(seen[1] / (double)draws, 0.97 / Math.Pow(2, 0.99) / zeta, 1.03 / Math.Pow(2, 0.99) / zeta);
        double firstHundred = Enumerable.Range(1, 100).Sum(i => 1 / Math.Pow(i, 0.99)) / zeta;
        Assert.InRange(seen.Take(100).Sum() / (double)draws, 0.93 * firstHundred, 1.07 * firstHundred);
    }

    [Fact]
    public void NodesInsertDifferentRecordsAndReadWhatIsThere()
    {
        YcsbRecords[] nodes = [new(90, 3, 0, 90), new(90, 3, 1, 90), new(90, 3, 2, 90)];
        long[] inserted = [.. nodes.SelectMany(node => Enumerable.Range(0, 100).Select(_ => node.NextInsert()))];
        Assert.Equal(300, inserted.Distinct().Count());
        Assert.All(inserted, number => Assert.InRange(number, 90, 389));
        Random random = new(3);
        // All but one of the middle have been acknowledged: those before it may be read, and those loaded.
        long[] own = [.. inserted.Where(number => number % 3 == 1)];
        foreach (long number in own.Where(number => number != own[50]).Reverse())
            nodes[1].Acknowledge(number);
        HashSet<long> read = [];
        for (int i = 0; i < 3000; i++)
        {
            read.Add(nodes[1].Latest(random));
            Assert.InRange(nodes[1].Scrambled(random), 0, 89);
        }
        HashSet<long> there = [.. own[..50], .. Enumerable.Range(0, 90).Select(number => (long)number)];
        Assert.Subset(there, read);
        Assert.Contains(own[49], read);
        nodes[1].Acknowledge(own[50]);
        Assert.Contains(own[99], Enumerable.Range(0, 1000).Select(_ => nodes[1].Latest(random)));
    }

    [Fact]
    public void KeysHaveOneLengthAndValuesTellTheirRecord()
    {
        byte[] value = new byte[YcsbKeys.ValueBytes];
        foreach (long number in new long[] { 0, 1, 99_999, long.MaxValue })
        {
            Assert.Equal(YcsbKeys.KeyBytes, YcsbKeys.Of(number).Length);
            YcsbKeys.Fill(value, number, new Random(1));
            Assert.True(YcsbKeys.IsOf(value, number));
            Assert.False(YcsbKeys.IsOf(value, number ^ 1));
        }
    }
}
