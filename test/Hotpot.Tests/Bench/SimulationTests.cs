using System.Text.RegularExpressions;
using Hotpot.Bench.Benches.Scale;
using Hotpot.LocalCluster;
using Hotpot.Tests.Runtime;

namespace Hotpot.Tests.Bench;

public sealed class SimulationTests
{
    [Fact]
    public void TheSummaryIsDividedByCommitsNodesAndEvents()
    {
        var turn = Simulation.Parse("4 seeds, 0 failed, 200 commits acknowledged, 90 of them direct and 20 together, 70 records hidden, 50000 events, 0.0 s\n", nodes: 64, seconds: 3);

        Assert.Equal([15000.0], turn.Us);
        Assert.Equal(200, turn.Operations);
        Assert.Equal(3, turn.Seconds);
        Assert.Equal(250, turn.More["events_per_commit"]);
        Assert.Equal(60, turn.More["us_per_event"]);
        Assert.Equal(15000.0 / 64, turn.More["us_per_commit_and_node"]);
    }

    /// <summary>What the program prints is known to its source alone.</summary>
    [Fact]
    public void TheSummaryOfTheProgramIsUnderstood()
    {
        var source = File.ReadAllText(Path.Combine(Repository.Root(), "Hotpot.Runtime", "Native", "sim", "main.cpp"));
        var format = Regex.Match(source, "\"(?<text>%llu seeds, .*)\\\\n\"").Groups["text"].Value;
        var number = 0;
        var printed = Regex.Replace(format, "%llu|%.1f", _ => number++ == 1 ? "0" : $"{number}");

        Assert.Equal(3, Simulation.Parse(printed, nodes: 4, seconds: 1).Operations);
    }

    [Theory]
    [InlineData("FAILED seed 3: a counter lost an update.\n4 seeds, 1 failed, 200 commits acknowledged, 50000 events, 3.0 s\n")]
    [InlineData("")]
    public void ASimulationThatFailsGivesNoFigure(string output) =>
        Assert.Throws<LocalClusterException>(() => Simulation.Parse(output, nodes: 4, seconds: 3));
}
