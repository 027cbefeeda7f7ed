using System.Text.Json;
using Hotpot.Bench.Harness;
using Hotpot.Terminal;

namespace Hotpot.Tests.Bench;

public sealed class ReportTests
{
    private static readonly Machine s_machine = new("a processor", 2, 23.5, "6.18.0", ".NET 10", "2026-01-31");

    [Fact]
    public void The_object_has_the_names_that_readers_rely_on()
    {
        Report report = new("load", s_machine, ProgressDisplay.OnWriter(TextWriter.Null));
        report.Add(Duel.Compare(
            new Row { Case = "1 KiB", Placement = "pinned", Transport = "none", Medium = "pmem (tmpfs)", N = 0 },
            [DuelTests.Timed(1, 2)], "array", [DuelTests.Timed(2, 2)], target: 0.5));
        report.Skip("LMDB", "it is not installed");

        using var json = JsonDocument.Parse(report.ToJson());
        var root = json.RootElement;
        Assert.Equal(["bench", "machine", "rows", "skipped"], Names(root));
        Assert.Equal("load", root.GetProperty("bench").GetString());
        Assert.Equal("a processor", root.GetProperty("machine").GetProperty("cpu").GetString());
        Assert.Equal("LMDB: it is not installed", root.GetProperty("skipped")[0].GetString());
        var row = root.GetProperty("rows")[0];
        Assert.Superset(
            new HashSet<string> { "case", "transport", "medium", "n", "p50_us", "p99_us", "ops_s", "peer", "peer_p50_us", "peer_ops_s", "ahead", "target", "met" },
            Names(row).ToHashSet());
        Assert.Equal(1, row.GetProperty("p50_us").GetDouble());
        Assert.Equal(2, row.GetProperty("ahead").GetDouble());
        Assert.True(row.GetProperty("met").GetBoolean());
    }

    [Fact]
    public void What_was_not_measured_is_null_and_not_zero()
    {
        Report report = new("barrier", s_machine, ProgressDisplay.OnWriter(TextWriter.Null));
        report.Add(Duel.State(new Row { Case = "alone", Placement = "free", Transport = "tcp", Medium = "file", N = 0 }, [DuelTests.Timed(1)]));

        using var json = JsonDocument.Parse(report.ToJson());
        var row = json.RootElement.GetProperty("rows")[0];
        foreach (var name in new[] { "peer", "peer_p50_us", "peer_ops_s", "ahead", "target", "met", "more" })
            Assert.Equal(JsonValueKind.Null, row.GetProperty(name).ValueKind);
    }

    [Fact]
    public void A_line_tells_both_times_the_ratio_and_whether_the_target_is_met()
    {
        var row = Duel.Compare(
            new Row { Case = "1 KiB", Placement = "pinned", Transport = "tcp", Medium = "pmem", N = 0, More = new Dictionary<string, double> { ["engine_us"] = 1.25 } },
            [DuelTests.Timed(4)], "peer", [DuelTests.Timed(2)], target: 0.7);

        var line = Report.Describe(row);
        Assert.Contains("1 KiB (pinned, tcp, pmem): 250000/s, p50 4 us", line, StringComparison.Ordinal);
        Assert.Contains("; peer 500000/s, p50 2 us", line, StringComparison.Ordinal);
        Assert.Contains("; ahead 0.50 (0.50 to 0.50), target 0.7: MISSED; engine_us 1.25", line, StringComparison.Ordinal);
    }

    private static string[] Names(JsonElement element) => [.. element.EnumerateObject().Select(property => property.Name)];
}
