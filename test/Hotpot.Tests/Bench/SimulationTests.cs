using Hotpot.Bench.Benches.Scale;
using Hotpot.LocalCluster;

namespace Hotpot.Tests.Bench;

public sealed class SimulationTests
{
    [Fact]
    public void TheSummaryIsDividedByCommitsNodesAndEvents()
    {
        var turn = Simulation.Parse("4 seeds, 0 failed, 200 commits acknowledged, 50000 events, 0.0 s\n", nodes: 64, seconds: 3);

        Assert.Equal([15000.0], turn.Us);
        Assert.Equal(200, turn.Operations);
        Assert.Equal(3, turn.Seconds);
        Assert.Equal(250, turn.More["events_per_commit"]);
        Assert.Equal(60, turn.More["us_per_event"]);
        Assert.Equal(15000.0 / 64, turn.More["us_per_commit_and_node"]);
    }

    [Theory]
    [InlineData("FAILED seed 3: a counter lost an update.\n4 seeds, 1 failed, 200 commits acknowledged, 50000 events, 3.0 s\n")]
    [InlineData("")]
    public void ASimulationThatFailsGivesNoFigure(string output) =>
        Assert.Throws<LocalClusterException>(() => Simulation.Parse(output, nodes: 4, seconds: 3));
}
