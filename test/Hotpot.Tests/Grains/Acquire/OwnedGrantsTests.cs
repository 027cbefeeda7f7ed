using System.Collections.Concurrent;
using Hotpot.Grains;
using Hotpot.Grains.Acquire;
using Hotpot.Grains.Node;
using Hotpot.Tests.Grains.Cluster;
using Microsoft.Extensions.Logging.Abstractions;
using static Hotpot.Tests.Grains.TestNodes;

namespace Hotpot.Tests.Grains.Acquire;

/// <summary>The grants of one owner, A, with holders and an engine that the test plays.</summary>
public sealed partial class OwnedGrantsTests
{
    private static readonly TimeSpan Long = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan Short = TimeSpan.FromMilliseconds(100);
    private static readonly ByteRange FirstPage = new(0, 4096);
    private static readonly DatasetDescription Graph = Description();

    private readonly FakeEngine _engine = new(new FakeFabric(), new FakeDisk(A));
    private readonly LocalChunkMap _map = new(Graph);
    private readonly FakeHolders _holders = new();
    private readonly NodeLifetime _lifetime = new();
    private readonly OwnedGrants _owned;
    private ulong _tickets;

    public OwnedGrantsTests()
    {
        _engine.OpenDataset(Graph);
        _owned = new OwnedGrants(Graph, _engine, _map, _holders, _lifetime, TimeProvider.System, NullLogger.Instance);
    }

    private sealed class FakeHolders : IGrantHolders
    {
        /// <summary>What a holder answers to its n-th recall, from one on.</summary>
        public Func<NodeId, int, bool> OnRecall { get; set; } = (_, _) => true;

        public Func<Task<GrantInfo[]>> OnList { get; set; } = () => Task.FromResult<GrantInfo[]>([]);

        public ConcurrentQueue<NodeId> Recalled { get; } = [];

        public int Listed => _listed;

        private int _listed;

        public Task<bool> RecallAsync(NodeId holder, DatasetId dataset, ByteRange range)
        {
            Recalled.Enqueue(holder);
            return Task.FromResult(OnRecall(holder, Recalled.Count(node => node == holder)));
        }

        public Task<GrantInfo[]> ListHeldAsync(DatasetId dataset, ByteRange[] ranges, CancellationToken cancellationToken)
        {
            Interlocked.Increment(ref _listed);
            return OnList();
        }
    }

    private async Task OwnAsync(ulong epoch, NodeId owner, bool isMember = true)
    {
        ChunkEntry[] entries = [.. Enumerable.Range(0, 4).Select(chunk => Entry([owner], epoch: epoch, chunk: (uint)chunk))];
        await _engine.ApplyMapAsync(Graph.Id, entries);
        _map.Apply(entries, isMember);
    }

    private static GrantHolder Holder(NodeId node) => new() { Node = node, Incarnation = new Incarnation(1) };

    private Task AcquireAsync(NodeId node, AcquireMode mode, TimeSpan timeout, ByteRange? range = null) => _owned.AcquireAsync(
        new AcquireRequest { Holder = Holder(node), Range = range ?? FirstPage, Mode = mode, Timeout = timeout, Ticket = ++_tickets }, CancellationToken.None);

    private async Task<INodeTransaction> StageAsync(long offset)
    {
        INodeTransaction transaction = _engine.CreateTransaction();
        transaction.Write(Graph.Id, offset, [1]);
        Assert.True((await transaction.StageAsync(Graph.Id, A)).Succeeded);
        return transaction;
    }

    private Task<PhaseResult?> BeginAsync(INodeTransaction transaction, TimeSpan timeout) =>
        _owned.BeginCommitAsync(transaction.Id, [Graph.RangeOf(new ChunkIndex(0))], [], timeout).AsTask();

    /// <summary>The holder's release was lost: it says that nobody uses the pages when it is asked again.</summary>
    [Fact]
    public async Task AReleaseThatWasLostIsFoundByAskingAgain()
    {
        await OwnAsync(1, A);
        _holders.OnRecall = (_, times) => times > 1;
        await AcquireAsync(B, AcquireMode.Exclusive, Long);
        await AcquireAsync(C, AcquireMode.Exclusive, Long).WaitAsync(Long);
        Assert.Equal([B, B], _holders.Recalled);
        Assert.Equal([C], _owned.List().Select(grant => grant.Holder.Node));
    }

    [Fact]
    public async Task NobodyIsAskedForWhatNobodyWaitsFor()
    {
        await OwnAsync(1, A);
        _holders.OnRecall = (_, _) => false;
        await AcquireAsync(B, AcquireMode.Exclusive, Long);
        await Assert.ThrowsAsync<HotpotTimeoutException>(() => AcquireAsync(C, AcquireMode.Exclusive, Short));
        int asked = _holders.Recalled.Count;
        // Another request's full wait passes, and its holder is the one that is asked.
        await AcquireAsync(C, AcquireMode.Exclusive, Long, new ByteRange(4096, 4096));
        await Assert.ThrowsAsync<HotpotTimeoutException>(() => AcquireAsync(D, AcquireMode.Exclusive, TimeSpan.FromSeconds(1), new ByteRange(4096, 4096)));
        Assert.InRange(_holders.Recalled.Count(node => node == B), 1, asked + 1);
        Assert.InRange(_holders.Recalled.Count(node => node == C), 2, 6);
    }

    [Fact]
    public async Task WhereNoGrantIsACommitNeitherWaitsNorIsLookedAt()
    {
        await OwnAsync(1, A);
        using INodeTransaction first = await StageAsync(0), second = await StageAsync(100);
        foreach (INodeTransaction transaction in new[] { first, second })
        {
            Task<PhaseResult?> begun = BeginAsync(transaction, TimeSpan.Zero);
            Assert.True(begun.IsCompletedSuccessfully);
            Assert.Null(await begun);
        }
        Assert.Empty(_holders.Recalled);
        Assert.Equal(0, _holders.Listed);
    }

    /// <summary>Recovery or a question says that it has ended, but not every sharer shows it: a reader must not get between.</summary>
    [Fact]
    public async Task ACommitWhoseEndIsHeardOfStaysUntilTheEngineIsThroughWithIt()
    {
        await OwnAsync(1, A);
        using INodeTransaction transaction = await StageAsync(0);
        Assert.Null(await BeginAsync(transaction, Long));
        Assert.True((await _engine.PrepareAsync(transaction.Id, Graph.Id, false, 1, Long)).Succeeded);
        _owned.EndCommitWhenGone(transaction.Id);
        await Assert.ThrowsAsync<HotpotTimeoutException>(() => AcquireAsync(B, AcquireMode.Shared, Short));
        Task reading = AcquireAsync(B, AcquireMode.Shared, Long);
        Assert.True((await _engine.CommitAsync(transaction.Id, Graph.Id)).Succeeded);
        await reading.WaitAsync(Long);
    }

    [Fact]
    public async Task TheCommitOfADeadNodeGoesWhenRecoveryHasSettledItAndALateOneDoesNotBegin()
    {
        await OwnAsync(1, A);
        using INodeTransaction transaction = await StageAsync(0), late = await StageAsync(100);
        Assert.Null(await BeginAsync(transaction, Long));
        Assert.True((await _engine.PrepareAsync(transaction.Id, Graph.Id, false, 1, Long)).Succeeded);
        _owned.HolderDied(A, transaction.Id.Incarnation);
        Task reading = AcquireAsync(B, AcquireMode.Shared, Long);
        Assert.False(reading.IsCompleted);
        Assert.Equal(HotpotStatus.NodeUnavailable, (await BeginAsync(late, Short))?.Status);
        await _engine.SettleAsync(transaction.Id, commit: false);
        await reading.WaitAsync(Long);
    }

    /// <summary>A map that tells of an earlier life of this node is no proof that nobody has held the pages.</summary>
    [Theory]
    [InlineData(1, true, 0)]
    [InlineData(1, false, 1)]
    [InlineData(2, true, 1)]
    public async Task HoldersAreAskedUnlessThisNodeIsTheFirstOwner(ulong epoch, bool isMember, int questions)
    {
        await OwnAsync(epoch, A, isMember);
        _holders.OnRecall = (_, _) => false;
        _holders.OnList = () => Task.FromResult<GrantInfo[]>(
            [new GrantInfo { Holder = Holder(B), Range = new ByteRange(100, 8192), Mode = AcquireMode.Exclusive, Ticket = 7 }]);
        await Eventually.UntilAsync("the owner knows its grants", async () =>
        {
            try
            {
                await AcquireAsync(C, AcquireMode.Exclusive, Short);
                return questions == 0;
            }
            catch (BusyException)
            {
                return false;
            }
            catch (HotpotTimeoutException)
            {
                return true;
            }
        });
        Assert.Equal(questions, _holders.Listed);
        Assert.Equal(questions == 0 ? C : B, Assert.Single(_owned.List()).Holder.Node);
    }

    [Fact]
    public async Task ACensusThatIsNotAnsweredEndsWithTheNode()
    {
        await OwnAsync(2, A);
        TaskCompletionSource asked = new(TaskCreationOptions.RunContinuationsAsynchronously), ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
        _holders.OnList = async () =>
        {
            asked.TrySetResult();
            try
            {
                await Task.Delay(Timeout.InfiniteTimeSpan, _lifetime.Ending);
                return [];
            }
            finally
            {
                ended.TrySetResult();
            }
        };
        await Assert.ThrowsAsync<BusyException>(() => AcquireAsync(B, AcquireMode.Shared, Long));
        await asked.Task.WaitAsync(Long);
        Assert.Equal(HotpotStatus.Busy, (await BeginAsync(await StageAsync(0), Long))?.Status);
        _lifetime.End();
        await ended.Task.WaitAsync(Long);
    }

    /// <summary>Nothing that waits in line can be granted by a node that the others take for dead, or that has handed its chunks over.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task WhoWaitsWhenTheNodeEndsIsToldAtOnce(bool isFenced)
    {
        await OwnAsync(1, A);
        _holders.OnRecall = (_, _) => false;
        await AcquireAsync(B, AcquireMode.Exclusive, Long);
        Task waiting = AcquireAsync(C, AcquireMode.Exclusive, Long);
        using INodeTransaction transaction = await StageAsync(0);
        Task<PhaseResult?> committing = BeginAsync(transaction, Long);
        Assert.False(waiting.IsCompleted || committing.IsCompleted);
        if (isFenced)
            _lifetime.Fence();
        else
            _lifetime.End();
        await Assert.ThrowsAsync<EngineClosedException>(() => waiting.WaitAsync(Long / 2));
        Assert.Equal(HotpotStatus.Closed, (await committing.WaitAsync(Long / 2))?.Status);
        Assert.Equal(B, Assert.Single(_owned.List()).Holder.Node);
    }

    /// <summary>What waits when the chunk moves is told at once; what was granted before is not granted again here.</summary>
    [Fact]
    public async Task WhoWaitsWhenTheChunkMovesIsSentToItsNewOwner()
    {
        await OwnAsync(1, A);
        _holders.OnRecall = (_, _) => false;
        await AcquireAsync(B, AcquireMode.Exclusive, Long);
        Task waiting = AcquireAsync(C, AcquireMode.Exclusive, Long);
        using INodeTransaction transaction = await StageAsync(0);
        Task<PhaseResult?> committing = BeginAsync(transaction, Long);
        Assert.False(waiting.IsCompleted || committing.IsCompleted);
        await OwnAsync(2, B);
        // Whatever happens next at this node: here the end of some other commit.
        _owned.EndCommit(new TransactionId(D, 1));
        await Assert.ThrowsAsync<NotOwnerException>(() => waiting.WaitAsync(Long));
        Assert.Equal(HotpotStatus.NotOwner, (await committing.WaitAsync(Long))?.Status);
        Assert.Empty(_owned.List());
    }
}
