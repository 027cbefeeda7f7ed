using Hotpot.Grains.Dataset;

namespace Hotpot.Tests.Grains.Dataset;

public sealed class ReplicaPlacementTests
{
    private static readonly NodeId[] Nodes = [.. Enumerable.Range(1, 10).Select(i => new NodeId((ulong)i))];

    private static NodeId[][] PlaceAll(NodeId[] nodes) =>
        [.. Enumerable.Range(0, 5000).Select(chunk => ReplicaPlacement.Choose(TestNodes.Dataset, new ChunkIndex((uint)chunk), nodes, 2))];

    [Fact]
    public void ReplicasAreSpreadEvenly()
    {
        int[] loads = [.. PlaceAll(Nodes).SelectMany(nodes => nodes).CountBy(node => node).Select(pair => pair.Value)];
        Assert.Equal(Nodes.Length, loads.Length);
        // 1000 each on average; a fair choice stays within 15 %, five standard deviations.
        Assert.All(loads, load => Assert.InRange(load, 850, 1150));
    }

    [Fact]
    public void TheOrderOfTheCandidatesDoesNotMatter() => Assert.Equal(PlaceAll(Nodes), PlaceAll([.. Nodes.Reverse()]));

    [Fact]
    public void ANodeThatLeavesMovesOnlyWhatItHeld()
    {
        NodeId left = Nodes[3];
        foreach ((NodeId[] before, NodeId[] after) in PlaceAll(Nodes).Zip(PlaceAll([.. Nodes.Where(node => node != left)])))
        {
            if (before.Contains(left))
                Assert.Single(after.Intersect(before));
            else
                Assert.Equal(before, after);
        }
    }

    [Theory]
    [InlineData(-1, 0)]
    [InlineData(0, 0)]
    [InlineData(20, 10)]
    public void ThereAreNeverMoreThanThereAre(int asked, int given) =>
        Assert.Equal(given, ReplicaPlacement.Choose(TestNodes.Dataset, new ChunkIndex(0), Nodes, asked).Length);
}
