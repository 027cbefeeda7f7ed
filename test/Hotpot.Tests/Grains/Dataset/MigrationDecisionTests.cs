using Hotpot.Grains.Dataset;
using static Hotpot.Tests.Grains.TestNodes;

namespace Hotpot.Tests.Grains.Dataset;

/// <summary>The tables of MigrationDecision and of ConfigurationDecision.Migrate, over every input that four nodes can make.</summary>
public sealed class MigrationDecisionTests
{
    private const long Minimum = 100;

    private static ChunkUse[] Uses(params long[] pages) =>
        [.. pages.Select((count, i) => new ChunkUse { Node = All[i], Pages = count, Epoch = Epoch.First }).Where(use => use.Pages > 0)];

    [Fact]
    public void OnlyANodeThatUsesAChunkMuchMoreThanAllOthersIsItsHeaviestUser()
    {
        long[] counts = [0, 1, 33, 49, 50, 99, 100, 101, 200, 1000];
        int nobody = 0, somebody = 0;
        foreach (long a in counts)
        {
            foreach (long b in counts)
            {
                foreach (long c in counts)
                {
                    NodeId user = MigrationDecision.HeaviestUser(Uses(a, b, c), Minimum);
                    NodeId expected = a + b + c < Minimum ? NodeId.None
                        : a >= 2 * (b + c) ? A
                        : b >= 2 * (a + c) ? B
                        : c >= 2 * (a + b) ? C
                        : NodeId.None;
                    Assert.Equal(expected, user);
                    _ = user.IsNone ? nobody++ : somebody++;
                }
            }
        }
        Assert.True(nobody > 100 && somebody > 100, "the enumeration has shrunk");
    }

    [Fact]
    public void NoUseHasNoHeaviestUser() => Assert.True(MigrationDecision.HeaviestUser([], 0).IsNone);

    private static IEnumerable<(ChunkEntry Entry, NodeId To, int Degree)> Moves() =>
        from counted in Subsets(All).Where(set => set.Length > 0)
        from joining in Subsets(All.Except(counted).ToArray())
        from phase in Enum.GetValues<ChunkPhase>()
        from to in All
        from degree in Enumerable.Range(1, 4)
        select (Entry(counted, joining, phase), to, degree);

    [Fact]
    public void AChunkMovesInOneChangeOfConfigurationAtATime()
    {
        int moved = 0, joined = 0, stayed = 0;
        foreach ((ChunkEntry entry, NodeId to, int degree) in Moves())
        {
            ChunkEntry? next = ConfigurationDecision.Migrate(entry, to, degree);
            NodeId[] counted = ConfigurationDecision.Counted(entry);
            bool surplus = counted.Length > degree;
            if (entry.Phase != ChunkPhase.Active || entry.JoiningMask != 0 || (to == entry.Owner && !surplus))
            {
                Assert.Null(next);
                stayed++;
                continue;
            }
            Assert.NotNull(next);
            ChunkMap.AssertInvariants(next);
            Assert.Equal(entry.Epoch.Next, next.Epoch);
            Assert.True(ConfigurationDecision.IsNewer(entry, next));
            if (!counted.Contains(to))
            {
                Assert.Equal(ChunkPhase.Active, next.Phase);
                Assert.Equal(counted, ConfigurationDecision.Counted(next));
                Assert.Equal([to], ConfigurationDecision.Joining(next));
                joined++;
                continue;
            }
            NodeId[] kept = ConfigurationDecision.Counted(next);
            Assert.Equal(ChunkPhase.Recovering, next.Phase);
            Assert.Equal(to, next.Owner);
            Assert.Equal(Math.Min(counted.Length, degree), kept.Length);
            Assert.Subset(counted.ToHashSet(), kept.ToHashSet());
            if (to != entry.Owner)
                Assert.Equal(!surplus, kept.Contains(entry.Owner));
            moved++;
        }
        Assert.True(moved > 50 && joined > 50 && stayed > 200, $"the enumeration has shrunk: {moved}, {joined}, {stayed}");
    }

    [Fact]
    public void AChunkThatNobodyOwnsDoesNotMove() =>
        Assert.All(Subsets(All).Where(set => set.Length > 0), set => Assert.Null(ConfigurationDecision.Migrate(Waiting(set), A, 1)));
}
