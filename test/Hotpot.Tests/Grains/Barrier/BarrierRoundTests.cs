using System.Net;
using Hotpot.Grains.Barrier;
using Hotpot.Grains.Membership;
using static Hotpot.Tests.Grains.TestNodes;

namespace Hotpot.Tests.Grains.Barrier;

public sealed class BarrierRoundTests
{
    private static SiloAddress Silo(NodeId node, int generation = 1) => SiloAddress.New(new IPEndPoint(IPAddress.Loopback, (int)node.Value), generation);

    private static ClusterNodes Nodes(params (NodeId Node, int Generation, SiloStatus Status)[] members) =>
        new(default, members.Select(member => (member.Node, Silo(member.Node, member.Generation), member.Status)));

    private static BarrierRound Round() => new(1, new Dictionary<Guid, BarrierRound.Place>());

    [Fact]
    public async Task TheLastArrivalCompletesTheRound()
    {
        BarrierRound round = Round();
        round.Arrive(Guid.NewGuid(), 2, A, Silo(A));
        Assert.False(round.IsOver);
        round.Arrive(Guid.NewGuid(), 2, B, Silo(B));
        Assert.Equal(1, await round.Completion);
        Assert.Equal(2, round.Next().Generation);
    }

    [Fact]
    public void ArrivingTwiceIsOneArrival()
    {
        BarrierRound round = Round();
        Guid participant = Guid.NewGuid();
        round.Arrive(participant, 2, A, Silo(A));
        round.Arrive(participant, 2, A, Silo(A));
        Assert.False(round.IsOver);
    }

    [Fact]
    public async Task NumbersThatDoNotAgreeBreakItForAll()
    {
        BarrierRound round = Round();
        round.Arrive(Guid.NewGuid(), 3, A, Silo(A));
        round.Arrive(Guid.NewGuid(), 4, B, Silo(B));
        BarrierBrokenException error = await Assert.ThrowsAsync<BarrierBrokenException>(() => round.Completion);
        Assert.Contains("one said 3, another 4", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void OneThatWithdrewIsNotCounted()
    {
        BarrierRound round = Round();
        Guid tired = Guid.NewGuid();
        round.Arrive(tired, 2, A, Silo(A));
        round.Withdraw(tired);
        round.Arrive(Guid.NewGuid(), 2, B, Silo(B));
        Assert.False(round.IsOver);
    }

    [Fact]
    public void ALostLifeIsNoticedEvenWhenTheNodeIsBack()
    {
        BarrierRound round = Round();
        round.Arrive(Guid.NewGuid(), 3, A, Silo(A));
        round.Arrive(Guid.NewGuid(), 3, B, Silo(B));
        Assert.Null(round.FindLost(Nodes((A, 1, SiloStatus.Active), (B, 1, SiloStatus.Active))));
        Assert.Null(round.FindLost(Nodes((A, 1, SiloStatus.Active), (B, 1, SiloStatus.ShuttingDown))));
        Assert.Equal(B, round.FindLost(Nodes((A, 1, SiloStatus.Active), (B, 1, SiloStatus.Dead))));
        Assert.Equal(B, round.FindLost(Nodes((A, 1, SiloStatus.Active))));
        Assert.Equal(B, round.FindLost(Nodes((A, 1, SiloStatus.Active), (B, 1, SiloStatus.Active), (B, 2, SiloStatus.Active))));
    }

    [Fact]
    public void OneThatDiesBetweenTwoRoundsIsMissedInTheSecond()
    {
        BarrierRound first = Round();
        Guid a = Guid.NewGuid(), b = Guid.NewGuid();
        first.Arrive(a, 2, A, Silo(A));
        first.Arrive(b, 2, B, Silo(B));
        BarrierRound second = first.Next();
        ClusterNodes withoutB = Nodes((A, 1, SiloStatus.Active));
        Assert.Null(second.FindLost(withoutB));
        second.Arrive(a, 2, A, Silo(A));
        Assert.Equal(B, second.FindLost(withoutB));
    }

    [Fact]
    public void AfterABreakNobodyIsExpected()
    {
        BarrierRound first = Round();
        Guid a = Guid.NewGuid();
        first.Arrive(a, 2, A, Silo(A));
        first.Break("It is broken.");
        BarrierRound second = first.Next();
        second.Arrive(Guid.NewGuid(), 2, B, Silo(B));
        Assert.Null(second.FindLost(Nodes((B, 1, SiloStatus.Active))));
        Assert.True(first.Completion.IsFaulted);
    }

    [Fact]
    public void AClientsDeathIsNotNoticed()
    {
        BarrierRound round = Round();
        round.Arrive(Guid.NewGuid(), 2, NodeId.None, null);
        Assert.Null(round.FindLost(Nodes()));
    }
}
