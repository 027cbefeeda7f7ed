using Hotpot.Grains;
using Hotpot.Grains.Acquire;
using Hotpot.Grains.Node;
using static Hotpot.Tests.Grains.TestNodes;

namespace Hotpot.Tests.Grains.Acquire;

/// <summary>Which commits need not ask for grants.</summary>
public sealed partial class OwnedGrantsTests
{
    private bool IsOpen(uint chunk) => _engine.OpenGatesOf.Contains((Graph.Id, new ChunkIndex(chunk)));

    /// <summary>A commit that asked, and has ended.</summary>
    private async Task CommitAsync()
    {
        using INodeTransaction transaction = await StageAsync(0);
        Assert.Null(await BeginAsync(transaction, Long));
        _owned.EndCommit(transaction.Id);
    }

    [Fact]
    public async Task ACommitThatMetNoGrantOpensTheGatesOfItsChunks()
    {
        await OwnAsync(1, A);
        Assert.False(IsOpen(0));
        await CommitAsync();
        Assert.True(IsOpen(0));
        Assert.False(IsOpen(1));
    }

    [Fact]
    public async Task ARequestShutsThemAndTheyStayShutWhileThereIsAGrant()
    {
        await OwnAsync(1, A);
        await CommitAsync();
        ByteRange elsewhere = Graph.RangeOf(new ChunkIndex(2));
        await AcquireAsync(B, AcquireMode.Shared, Long, elsewhere);
        Assert.False(IsOpen(0));
        await CommitAsync();
        Assert.False(IsOpen(0));
        Assert.True(_owned.Release(Holder(B), elsewhere, _tickets));
        // Not at once: who acquires once often does again.
        await CommitAsync();
        Assert.False(IsOpen(0));
        for (DateTime until = DateTime.UtcNow + Long; !IsOpen(0) && DateTime.UtcNow < until;)
        {
            await Task.Delay(20);
            await CommitAsync();
        }
        Assert.True(IsOpen(0));
    }

    [Fact]
    public async Task NoGrantIsGivenWhileCommitsAreUnderWayThatDidNotAsk()
    {
        await OwnAsync(1, A);
        await CommitAsync();
        _engine.DirectUnderWay = 1;
        await Assert.ThrowsAsync<BusyException>(() => AcquireAsync(B, AcquireMode.Shared, Long));
        Assert.False(IsOpen(0));
        // Nor do they open again before the request is repeated.
        await CommitAsync();
        Assert.False(IsOpen(0));
        await Assert.ThrowsAsync<BusyException>(() => AcquireAsync(B, AcquireMode.Shared, Long));
        Assert.Empty(_owned.List());
        _engine.DirectUnderWay = 0;
        await AcquireAsync(B, AcquireMode.Shared, Long);
        Assert.Single(_owned.List());
    }

    /// <summary>Its grants may be an earlier owner's, and are not known here yet.</summary>
    [Fact]
    public async Task AChunkThatWasTakenOverOpensOnlyWhenItsGrantsAreKnown()
    {
        await OwnAsync(1, B);
        await OwnAsync(2, A);
        TaskCompletionSource<GrantInfo[]> claims = new();
        _holders.OnList = () => claims.Task;
        using INodeTransaction transaction = await StageAsync(0);
        Assert.Equal(HotpotStatus.Busy, (await BeginAsync(transaction, Long))?.Status);
        Assert.False(IsOpen(0));
        claims.SetResult([]);
        for (DateTime until = DateTime.UtcNow + Long; await BeginAsync(transaction, Long) is not null && DateTime.UtcNow < until;)
            await Task.Delay(5);
        _owned.EndCommit(transaction.Id);
        Assert.True(IsOpen(0));
    }
}
