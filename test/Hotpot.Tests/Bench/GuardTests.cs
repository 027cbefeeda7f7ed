using Hotpot.Bench.Guard;
using Hotpot.Bench.Harness;
using Hotpot.Terminal;
using Catalog = Hotpot.Bench.Catalog;

namespace Hotpot.Tests.Bench;

public sealed class GuardTests
{
    private static readonly GuardRule s_rule = new("load", "1 KiB", "pinned", "none", "array", AheadMin: 0.5);

    [Fact]
    public void The_best_run_counts()
    {
        GuardVerdict verdict = new(s_rule, Ahead: null);
        Assert.False(verdict.Passed);
        verdict = verdict.After("load", [Row(0.3)]);
        Assert.False(verdict.Passed);
        verdict = verdict.After("load", [Row(0.6)]).After("load", [Row(0.2)]);
        Assert.True(verdict.Passed);
        Assert.Equal(0.6, verdict.Ahead);
    }

    [Fact]
    public void Only_the_row_that_the_rule_names_counts()
    {
        Row row = Row(1);
        GuardVerdict verdict = new(s_rule, Ahead: null);
        Assert.Null(verdict.After("miss", [row]).Ahead);
        Row[] others = [row with { Case = "4 KiB" }, row with { Placement = "free" }, row with { Transport = "tcp" }, row with { Peer = "LMDB" }, row with { Ahead = null }];
        Assert.Null(verdict.After("load", others).Ahead);
        Assert.Equal(1, verdict.After("load", [row]).Ahead);
    }

    [Theory]
    [InlineData(new[] { 0.9 }, 1, true)]
    [InlineData(new[] { 0.1, 0.2, 0.5 }, 3, true)]
    [InlineData(new[] { 0.1, 0.2, 0.3, 0.9 }, 3, false)]
    public async Task A_benchmark_is_run_again_until_its_rules_hold_or_three_runs_are_over(double[] aheads, int runs, bool passed)
    {
        FakeBench bench = new("load", run => [Row(aheads[run])]);

        var verdicts = await GuardRun.RunAsync([s_rule], [bench], ProgressDisplay.OnWriter(TextWriter.Null), CancellationToken.None);

        Assert.Equal(runs, bench.Runs);
        Assert.Equal(passed, verdicts.Single().Passed);
    }

    [Fact]
    public async Task A_row_that_is_not_there_is_a_failure_and_says_so()
    {
        var verdicts = await GuardRun.RunAsync([s_rule], [new FakeBench("load", _ => [])], ProgressDisplay.OnWriter(TextWriter.Null), CancellationToken.None);

        Assert.False(verdicts.Single().Passed);
        Assert.Equal("FAILED load: 1 KiB (pinned, none) against array: there is no such row, at least 0.50", verdicts.Single().ToString());
    }

    [Fact]
    public void Every_rule_is_about_a_benchmark_that_exists() =>
        Assert.All(GuardRule.All, rule => Assert.Contains(Catalog.Benchmarks, bench => bench.Name == rule.Bench));

    private static Row Row(double ahead) => new() { Case = "1 KiB", Placement = "pinned", Transport = "none", Medium = "pmem", N = 1, Peer = "array", Ahead = ahead };

    private sealed class FakeBench(string name, Func<int, Row[]> rows) : IBenchmark
    {
        public int Runs { get; private set; }

        public string Name => name;

        public string What => "rows that are given";

        public Task RunAsync(BenchContext context, CancellationToken cancellation)
        {
            Assert.True(context.Quick);
            foreach (var row in rows(Runs++))
                context.Report.Add(row);
            return Task.CompletedTask;
        }
    }
}
