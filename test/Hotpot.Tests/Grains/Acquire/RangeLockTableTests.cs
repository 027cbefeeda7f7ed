using FsCheck;
using FsCheck.Fluent;
using Hotpot.Grains;
using Hotpot.Grains.Acquire;
using static Hotpot.Tests.Grains.TestNodes;

namespace Hotpot.Tests.Grains.Acquire;

public sealed class RangeLockTableTests
{
    private static GrantHolder Holder(NodeId node, ulong incarnation = 1) => new() { Node = node, Incarnation = new Incarnation(incarnation) };

    /// <summary>A table with the asker's view of it: who was granted, who was refused.</summary>
    private sealed class Asker
    {
        public RangeLockTable Table { get; } = new();

        public List<RangeLockTable.Request> Granted { get; } = [];

        public List<RangeLockTable.Request> Refused { get; } = [];

        public RangeLockTable.Request Ask(NodeId node, long offset, long length, AcquireMode mode, ulong stamp = 0, ulong incarnation = 1)
        {
            RangeLockTable.Request? request = null;
            request = new RangeLockTable.Request(
                Holder(node, incarnation), new ByteRange(offset, length), mode, stamp, () => Granted.Add(request!), _ => Refused.Add(request!));
            if (Table.Acquire(request))
                Granted.Add(request);
            Table.AssertInvariants();
            return request;
        }

        public RangeLockTable.Request Write(NodeId node, long offset = 0, long length = 10) => Ask(node, offset, length, AcquireMode.Exclusive);

        public RangeLockTable.Request Read(NodeId node, long offset = 0, long length = 10) => Ask(node, offset, length, AcquireMode.Shared);
    }

    [Fact]
    public void ReadersShareAndWritersDoNot()
    {
        Asker asker = new();
        RangeLockTable.Request a = asker.Read(A), b = asker.Read(B), c = asker.Write(C);
        Assert.Equal([a, b], asker.Granted);
        asker.Table.Release(a.Holder, a.Range);
        Assert.DoesNotContain(c, asker.Granted);
        asker.Table.Release(b.Holder, b.Range);
        Assert.Contains(c, asker.Granted);
    }

    [Fact]
    public void AWriterIsNotStarvedByReadersThatKeepArriving()
    {
        Asker asker = new();
        RangeLockTable.Request first = asker.Read(A), writer = asker.Write(B), late = asker.Read(C);
        Assert.Equal([first], asker.Granted);
        asker.Table.Release(first.Holder, first.Range);
        Assert.Equal([first, writer], asker.Granted);
        asker.Table.Release(writer.Holder, writer.Range);
        Assert.Equal([first, writer, late], asker.Granted);
    }

    [Fact]
    public void RangesThatDoNotTouchDoNotWait()
    {
        Asker asker = new();
        asker.Write(A, 0, 10);
        asker.Write(B, 10, 10);
        asker.Write(C, 5, 10);
        asker.Write(D, 20, 1);
        Assert.Equal([A, B, D], asker.Granted.Select(request => request.Holder.Node));
    }

    [Fact]
    public void AskingForWhatOneHoldsOrWaitsForIsRefused()
    {
        Asker asker = new();
        asker.Write(A);
        Assert.Throws<AlreadyAcquiredException>(() => asker.Read(A, 9, 1));
        asker.Write(B);
        Assert.Throws<AlreadyAcquiredException>(() => asker.Read(B, 0, 1));
        asker.Write(A, 10, 1);
    }

    [Fact]
    public void TheDeathOfAHolderFreesWhatItHadAndOnlyThat()
    {
        Asker asker = new();
        asker.Write(A);
        RangeLockTable.Request dead = asker.Write(B), alive = asker.Write(C);
        asker.Table.RemoveHolder(B, new Incarnation(1));
        Assert.Equal([dead], asker.Refused);
        Assert.DoesNotContain(alive, asker.Granted);
        asker.Table.RemoveHolder(A, new Incarnation(1));
        Assert.Contains(alive, asker.Granted);
    }

    [Fact]
    public void ALaterIncarnationOutlivesTheDeathOfAnEarlierOne()
    {
        Asker asker = new();
        RangeLockTable.Request later = asker.Ask(A, 0, 10, AcquireMode.Exclusive, incarnation: 2);
        asker.Table.RemoveHolder(A, new Incarnation(1));
        Assert.Single(asker.Table.Grants);
        Assert.True(asker.Table.HoldsExclusively(later.Holder, later.Range));
    }

    [Fact]
    public void WhatIsVoidGoesAndMakesRoom()
    {
        Asker asker = new();
        asker.Ask(A, 0, 10, AcquireMode.Exclusive, stamp: 1);
        RangeLockTable.Request oldWaiter = asker.Ask(B, 0, 10, AcquireMode.Exclusive, stamp: 1);
        RangeLockTable.Request newWaiter = asker.Ask(C, 0, 10, AcquireMode.Exclusive, stamp: 5);
        asker.Table.Prune((_, stamp) => stamp >= 5);
        Assert.Equal([oldWaiter], asker.Refused);
        Assert.Equal([Holder(C)], asker.Table.Grants.Select(grant => grant.Holder));
        Assert.Contains(newWaiter, asker.Granted);
    }

    [Fact]
    public void ExclusiveCoverMayBeMadeOfSeveralGrants()
    {
        Asker asker = new();
        asker.Write(A, 0, 10);
        asker.Write(A, 10, 10);
        asker.Read(A, 20, 10);
        Assert.True(asker.Table.HoldsExclusively(Holder(A), new ByteRange(3, 17)));
        Assert.False(asker.Table.HoldsExclusively(Holder(A), new ByteRange(3, 18)));
        Assert.False(asker.Table.HoldsExclusively(Holder(B), new ByteRange(3, 1)));
    }

    [Fact]
    public void TheQueueIsBounded()
    {
        Asker asker = new();
        asker.Write(A, 0, RangeLockTable.MaxWaiting + 1);
        for (int i = 0; i < RangeLockTable.MaxWaiting; i++)
        {
            RangeLockTable.Request request = new(Holder(new NodeId((ulong)i + 100)), new ByteRange(i, 1), AcquireMode.Shared, 0, () => { }, _ => { });
            Assert.False(asker.Table.Acquire(request));
        }
        Assert.Throws<LimitReachedException>(() => asker.Table.Acquire(
            new RangeLockTable.Request(Holder(B), new ByteRange(0, 1), AcquireMode.Shared, 0, () => { }, _ => { })));
    }

    /// <summary>
    /// Any sequence of operations keeps the invariants, answers each request at most once, and leaves nobody waiting when all holders have let go. Each number
    /// is one operation; what it does follows from the number and the state, so a failing sequence shrinks.
    /// </summary>
    [Fact]
    public void AnySequenceOfOperationsKeepsTheInvariants() =>
        Prop.ForAll(Gen.Choose(0, int.MaxValue).ArrayOf().ToArbitrary(), Run).QuickCheckThrowOnFailure();

    private static void Run(int[] operations)
    {
        Asker asker = new();
        List<RangeLockTable.Request> withdrawn = [];
        foreach (int operation in operations)
        {
            Random random = new(operation);
            NodeId node = All[random.Next(All.Length)];
            ByteRange range = new(random.Next(20), random.Next(1, 8));
            switch (random.Next(6))
            {
                case 0 or 1 or 2:
                    bool overlaps = asker.Table.Grants.Any(grant => grant.Holder.Node == node && grant.Range.Overlaps(range))
                        || asker.Table.Waiting.Any(request => request.Holder.Node == node && request.Range.Overlaps(range));
                    AcquireMode mode = (AcquireMode)random.Next(2);
                    if (overlaps)
                        Assert.Throws<AlreadyAcquiredException>(() => asker.Ask(node, range.Offset, range.Length, mode));
                    else
                        asker.Ask(node, range.Offset, range.Length, mode);
                    break;
                case 3:
                    asker.Table.Release(Holder(node), range);
                    break;
                case 4 when asker.Table.WaitingCount > 0:
                    RangeLockTable.Request waiting = asker.Table.Waiting.ElementAt(random.Next(asker.Table.WaitingCount));
                    Assert.True(asker.Table.Withdraw(waiting));
                    withdrawn.Add(waiting);
                    break;
                default:
                    asker.Table.RemoveHolder(node, new Incarnation(1));
                    break;
            }
            asker.Table.AssertInvariants();
        }
        foreach (NodeId node in All)
            asker.Table.Release(Holder(node), new ByteRange(0, 100));
        while (asker.Table.Grants.Count > 0)
            asker.Table.Release(asker.Table.Grants[0].Holder, asker.Table.Grants[0].Range);
        Assert.Equal(0, asker.Table.WaitingCount);
        RangeLockTable.Request[] answered = [.. asker.Granted, .. asker.Refused, .. withdrawn];
        Assert.Equal(answered.Length, answered.Distinct().Count());
    }
}
