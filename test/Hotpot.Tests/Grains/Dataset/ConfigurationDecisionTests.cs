using Hotpot.Grains.Dataset;
using static Hotpot.Tests.Grains.TestNodes;

namespace Hotpot.Tests.Grains.Dataset;

/// <summary>Every entry that four nodes can make, against every set of nodes that can die: the table at the head of ConfigurationDecision.</summary>
public sealed class ConfigurationDecisionTests
{
    private static readonly IReadOnlySet<NodeId>[] DeadSets = [.. Subsets(All).Select(set => (IReadOnlySet<NodeId>)set.ToHashSet())];

    // Counted and joining replicas are disjoint, so every node is one of: absent, counted, joining.
    private static IEnumerable<ChunkEntry> OwnedEntries() =>
        from counted in Subsets(All).Where(set => set.Length > 0)
        from joining in Subsets(All.Except(counted).ToArray())
        from phase in Enum.GetValues<ChunkPhase>()
        select Entry(counted, joining, phase);

    private static IEnumerable<ChunkEntry> WaitingEntries() => Subsets(All).Where(set => set.Length > 0).Select(set => Waiting(set));

    [Fact]
    public void AFenceLeavesAloneWhatNobodyDeadHolds()
    {
        foreach (ChunkEntry entry in OwnedEntries())
        {
            foreach (IReadOnlySet<NodeId> dead in DeadSets.Where(dead => !entry.Replicas.Any(dead.Contains)))
                Assert.Null(ConfigurationDecision.Fence(entry, dead));
        }
    }

    [Fact]
    public void AFenceLeavesAWaitingChunkToItsHistory()
    {
        foreach (ChunkEntry entry in WaitingEntries())
        {
            foreach (IReadOnlySet<NodeId> dead in DeadSets)
                Assert.Null(ConfigurationDecision.Fence(entry, dead));
        }
    }

    [Fact]
    public void AFenceRaisesTheEpochAndKeepsTheSurvivorsInOrder()
    {
        int fenced = 0;
        foreach (ChunkEntry entry in OwnedEntries())
        {
            foreach (IReadOnlySet<NodeId> dead in DeadSets.Where(dead => entry.Replicas.Any(dead.Contains)))
            {
                ChunkEntry next = Assert.IsType<ChunkEntry>(ConfigurationDecision.Fence(entry, dead));
                ChunkMap.AssertInvariants(next);
                Assert.Equal(entry.Epoch.Next, next.Epoch);
                NodeId[] counted = ConfigurationDecision.Counted(entry);
                NodeId[] survivors = [.. counted.Where(node => !dead.Contains(node))];
                if (survivors.Length == 0)
                {
                    Assert.Equal(NodeId.None, next.Owner);
                    Assert.Equal(counted, next.Replicas);
                    Assert.Equal(ChunkPhase.Recovering, next.Phase);
                }
                else
                {
                    Assert.Equal(survivors, ConfigurationDecision.Counted(next));
                    Assert.Equal(ConfigurationDecision.Joining(entry).Where(node => !dead.Contains(node)), ConfigurationDecision.Joining(next));
                    Assert.Equal(survivors.Length < counted.Length ? ChunkPhase.Recovering : entry.Phase, next.Phase);
                }
                fenced++;
            }
        }
        Assert.True(fenced > 1000, "the enumeration has shrunk");
    }

    [Fact]
    public void OnlyANodeThatIsWaitedForTakesAChunkBack()
    {
        foreach (NodeId node in All)
        {
            foreach (ChunkEntry entry in OwnedEntries())
                Assert.Null(ConfigurationDecision.Return(entry, node));
            foreach (ChunkEntry entry in WaitingEntries())
            {
                ChunkEntry? next = ConfigurationDecision.Return(entry, node);
                Assert.Equal(entry.Holds(node), next is not null);
                if (next is null)
                    continue;
                ChunkMap.AssertInvariants(next);
                Assert.Equal(node, next.Owner);
                Assert.Equal([node], next.Replicas);
                Assert.Equal(entry.Epoch.Next, next.Epoch);
                Assert.Equal(ChunkPhase.Recovering, next.Phase);
            }
        }
    }

    [Fact]
    public void ALeavingNodeGivesUpWhatAnotherReplicaHoldsAndNothingElse()
    {
        foreach (ChunkEntry entry in OwnedEntries())
        {
            ChunkEntry? next = ConfigurationDecision.HandOver(entry, A);
            bool anotherHolds = ConfigurationDecision.Counted(entry).Any(node => node != A);
            Assert.Equal(entry.Holds(A) && anotherHolds, next is not null);
            if (next is not null)
                Assert.False(next.Holds(A));
        }
        foreach (ChunkEntry entry in WaitingEntries())
            Assert.Null(ConfigurationDecision.HandOver(entry, A));
    }

    [Fact]
    public void RestoringAddsJoiningReplicasUpToTheDegree()
    {
        foreach (ChunkEntry entry in OwnedEntries())
        {
            for (int degree = 1; degree <= All.Length; degree++)
            {
                foreach (NodeId[] candidates in Subsets(All))
                {
                    ChunkEntry? next = ConfigurationDecision.Restore(entry, TestNodes.Dataset, degree, candidates);
                    int possible = Math.Min(degree - entry.Replicas.Length, candidates.Count(node => !entry.Holds(node)));
                    if (possible <= 0)
                    {
                        Assert.Null(next);
                        continue;
                    }
                    ChunkMap.AssertInvariants(next!);
                    Assert.Equal(entry.Replicas.Length + possible, next!.Replicas.Length);
                    Assert.Equal(ConfigurationDecision.Counted(entry), ConfigurationDecision.Counted(next));
                    Assert.Equal((entry.Epoch.Next, entry.Phase), (next.Epoch, next.Phase));
                }
            }
        }
        foreach (ChunkEntry entry in WaitingEntries())
            Assert.Null(ConfigurationDecision.Restore(entry, TestNodes.Dataset, All.Length, All));
    }

    [Fact]
    public void PromotingCountsTheNodeAtTheSameEpoch()
    {
        foreach (ChunkEntry entry in OwnedEntries())
        {
            foreach (NodeId node in All)
            {
                ChunkEntry? next = ConfigurationDecision.Promote(entry, node);
                Assert.Equal(entry.IsJoining(node), next is not null);
                if (next is null)
                    continue;
                ChunkMap.AssertInvariants(next);
                Assert.True(ConfigurationDecision.IsNewer(entry, next));
                Assert.Equal(entry.Epoch, next.Epoch);
                Assert.Equal([.. ConfigurationDecision.Counted(entry), node], ConfigurationDecision.Counted(next));
            }
        }
    }

    [Fact]
    public void ActivatingPutsTheChosenOwnerFirst()
    {
        foreach (ChunkEntry entry in OwnedEntries().Where(entry => entry.Phase == ChunkPhase.Recovering))
        {
            foreach (NodeId owner in ConfigurationDecision.Counted(entry))
            {
                ChunkEntry next = ConfigurationDecision.Activate(entry, owner);
                ChunkMap.AssertInvariants(next);
                Assert.Equal((owner, entry.Epoch, ChunkPhase.Active), (next.Owner, next.Epoch, next.Phase));
                Assert.Equal(entry.Replicas.Order(), next.Replicas.Order());
                Assert.True(ConfigurationDecision.IsNewer(entry, next));
            }
        }
    }

    [Fact]
    public void AssigningTakesTheCommittingNodeAndNoMoreThanTheDegree()
    {
        for (int degree = 1; degree <= All.Length + 1; degree++)
        {
            ChunkEntry entry = ConfigurationDecision.Assign(TestNodes.Dataset, new ChunkIndex(5), B, All, degree);
            ChunkMap.AssertInvariants(entry);
            Assert.Equal(B, entry.Owner);
            Assert.Equal(Epoch.First, entry.Epoch);
            Assert.Equal(Math.Min(degree, All.Length), entry.Replicas.Length);
        }
    }

    [Fact]
    public void TheOrderOfEntriesIsStrict()
    {
        ChunkEntry[] entries =
        [
            .. OwnedEntries(), .. WaitingEntries(), .. OwnedEntries().Select(entry => entry with { Epoch = entry.Epoch.Next }),
        ];
        foreach (ChunkEntry left in entries)
        {
            Assert.False(ConfigurationDecision.IsNewer(left, left));
            foreach (ChunkEntry right in entries)
                Assert.False(ConfigurationDecision.IsNewer(left, right) && ConfigurationDecision.IsNewer(right, left));
        }
    }
}
