using System.Net;
using Hotpot.Grains;
using Hotpot.Grains.Membership;
using Hotpot.Grains.Placement;
using static Hotpot.Tests.Grains.TestNodes;

namespace Hotpot.Tests.Grains.Placement;

public sealed class OnNodePlacementTests
{
    private static SiloAddress Silo(int port, int generation = 1) => SiloAddress.New(new IPEndPoint(IPAddress.Loopback, port), generation);

    private static SiloAddress Choose(string key, params (NodeId Node, SiloAddress Silo, SiloStatus Status)[] members) =>
        OnNodePlacementDirector.Choose(key, new ClusterNodes(default, members), [.. members.Select(member => member.Silo)]);

    [Fact]
    public void AGrainGoesToTheNodeThatItsKeyEndsIn()
    {
        (NodeId, SiloAddress, SiloStatus)[] members = [(A, Silo(1), SiloStatus.Active), (B, Silo(2), SiloStatus.Active)];
        Assert.Equal(Silo(1), Choose(GrainKeys.Node(A), members));
        Assert.Equal(Silo(2), Choose(GrainKeys.Owner(TestNodes.Dataset, B), members));
    }

    [Fact]
    public void OfTwoLivesTheLaterOneRuns() =>
        Assert.Equal(Silo(1, 9), Choose(GrainKeys.Node(A), (A, Silo(1, 9), SiloStatus.Active), (A, Silo(1, 3), SiloStatus.Active)));

    [Theory]
    [InlineData(SiloStatus.Joining)]
    [InlineData(SiloStatus.ShuttingDown)]
    [InlineData(SiloStatus.Dead)]
    public void ANodeThatIsNotActiveIsUnavailable(SiloStatus status)
    {
        NodeUnavailableException error = Assert.Throws<NodeUnavailableException>(() => Choose(GrainKeys.Node(A), (A, Silo(1), status)));
        Assert.Contains(A.ToString(), error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("")]
    [InlineData("graph")]
    [InlineData("0000000000000000")]
    [InlineData("000000000000000a/")]
    [InlineData("000000000000000a/xyz")]
    public void OtherKeysAreRefused(string key) => Assert.Throws<InvalidRequestException>(() => Choose(key, (A, Silo(1), SiloStatus.Active)));

    [Fact]
    public void OnlySilosOfNodesAreNodes()
    {
        Assert.True(GrainKeys.TryParseSiloName(GrainKeys.SiloName(A), out NodeId node));
        Assert.Equal(A, node);
        foreach (string? name in new[] { null, "", "hotpot-", "hotpot-1", "other-000000000000000a", "hotpot-0000000000000000" })
            Assert.False(GrainKeys.TryParseSiloName(name, out _), name);
    }

    [Fact]
    public void ANodeIsGoneOnlyWhenNoLifeOfItIsLeft()
    {
        ClusterNodes nodes = new(default, [(A, Silo(1), SiloStatus.Dead), (A, Silo(1, 2), SiloStatus.Joining), (B, Silo(2), SiloStatus.Stopping), (C, Silo(3), SiloStatus.Dead)]);
        Assert.False(nodes.IsGone(A));
        Assert.False(nodes.IsGone(B));
        Assert.True(nodes.IsGone(C));
        Assert.True(nodes.IsGone(D));
        Assert.True(nodes.IsDead(A, Silo(1)));
        Assert.False(nodes.IsDead(A, Silo(1, 2)));
        Assert.DoesNotContain(B, nodes.Live.Keys);
    }
}
