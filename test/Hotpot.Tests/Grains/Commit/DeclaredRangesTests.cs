using Hotpot.Grains.Commit;

namespace Hotpot.Tests.Grains.Commit;

/// <summary>What an owner is told of a commit to a single-writer dataset: its table of grants searches these ranges, so they ascend whatever the caller gave.</summary>
public sealed class DeclaredRangesTests
{
    private static readonly ByteRange First = new(0, 4096);
    private static readonly ByteRange Second = new(4096, 4096);
    private static readonly ByteRange Far = new(3 * 4096, 4096);

    [Fact]
    public void RangesOutOfOrderAscend() => Assert.Equal([First, Far], Committer.Inside([Far, First], [new ByteRange(0, 1 << 20)]));

    [Fact]
    public void RangesThatMeetAreOne() =>
        Assert.Equal([new ByteRange(0, 2 * 4096)], Committer.Inside([Second, First, new ByteRange(100, 5000)], [new ByteRange(0, 1 << 20)]));

    [Fact]
    public void WhatIsOfAnotherOwnerIsLeftOut() => Assert.Equal([Second], Committer.Inside([Far, new ByteRange(0, 2 * 4096)], [Second, new ByteRange(1 << 20, 4096)]));
}
