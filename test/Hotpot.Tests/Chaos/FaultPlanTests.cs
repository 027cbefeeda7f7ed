using Hotpot.Chaos.Faults;

namespace Hotpot.Tests.Chaos;

public sealed class FaultPlanTests
{
    private const int Faults = 100;

    [Fact]
    public void TheSameSeedGivesTheSamePlan() => Assert.Equal(Describe(seed: 7), Describe(seed: 7));

    [Fact]
    public void AnotherSeedGivesAnotherPlan() => Assert.NotEqual(Describe(seed: 7), Describe(seed: 8));

    [Theory]
    [InlineData(3)]
    [InlineData(5)]
    public void EveryPlanBeginsWithAKillAndHasEveryKindSoon(int nodes)
    {
        Fault[] plan = [.. FaultPlan.Create(seed: 1, nodes, []).Take(21)];
        Assert.Equal(FaultKind.Kill, plan[0].Kind);
        Assert.Equal(Enum.GetValues<FaultKind>(), plan.Select(fault => fault.Kind).Distinct().Order());
    }

    [Theory]
    [InlineData(3)]
    [InlineData(8)]
    public void NobodyIsMetTwiceAndOneCopyIsLeft(int nodes)
    {
        foreach (var fault in FaultPlan.Create(seed: 3, nodes, []).Take(Faults))
        {
            Assert.Equal(fault.Nodes.Length, fault.Nodes.Distinct().Count());
            Assert.All(fault.Nodes, node => Assert.InRange(node, 0, nodes - 1));
            if (fault.Kind == FaultKind.LoseDirectory)
                Assert.InRange(fault.Nodes.Length, 1, 2);
        }
    }

    [Fact]
    public void OnlyTheKindsAskedForFollowTheFirstKill() =>
        Assert.All(FaultPlan.Create(seed: 1, nodes: 3, [FaultKind.Pause, FaultKind.RollingRestart]).Take(Faults).Skip(1), fault => Assert.True(fault.Kind is FaultKind.Pause or FaultKind.RollingRestart));

    private static string[] Describe(int seed) => [.. FaultPlan.Create(seed, 3, []).Take(Faults).Select(fault => $"{fault} {fault.Pause} {fault.Gap}")];
}
