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

        public RangeLockTable.Request Ask(NodeId node, long offset, long length, AcquireMode mode, ulong stamp = 0, ulong incarnation = 1, ulong ticket = 0, bool isUpgrade = false)
        {
            RangeLockTable.Request? request = null;
            request = new RangeLockTable.Request(
                Holder(node, incarnation), new ByteRange(offset, length), mode, stamp, () => Granted.Add(request!), _ => Refused.Add(request!), ticket, isUpgrade);
            if (Table.Acquire(request))
                Granted.Add(request);
            Table.AssertInvariants();
            return request;
        }

        public RangeLockTable.Request Write(NodeId node, long offset = 0, long length = 10) => Ask(node, offset, length, AcquireMode.Exclusive);

        public RangeLockTable.Request Upgrade(NodeId node, long offset = 0, long length = 10) =>
            Ask(node, offset, length, AcquireMode.Exclusive, isUpgrade: true);

        public RangeLockTable.Commit Commit(NodeId node, ulong number, params ByteRange[] ranges)
        {
            RangeLockTable.Commit commit = new(
                new TransactionId(node, 1UL << 40 | number), Holder(node), ranges.Length == 0 ? [new ByteRange(0, 10)] : ranges, 0, () => { }, _ => { });
            Table.BeginCommit(commit);
            Table.AssertInvariants();
            return commit;
        }

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
        asker.Table.Prune((range, stamp) => stamp >= 5 ? [range] : []);
        Assert.Equal([oldWaiter], asker.Refused);
        Assert.Equal([Holder(C)], asker.Table.Grants.Select(grant => grant.Holder));
        Assert.Contains(newWaiter, asker.Granted);
    }

    [Fact]
    public void AGrantIsCutDownToWhatIsStillOwned()
    {
        Asker asker = new();
        asker.Write(A, 0, 30);
        RangeLockTable.Request low = asker.Write(B, 0, 10), middle = asker.Write(C, 10, 10);
        asker.Table.Prune((range, _) => range.Offset < 20 && range.End > 20 ? [new ByteRange(range.Offset, 10)] : range.Offset < 10 ? [range] : []);
        Assert.Equal([new ByteRange(0, 10)], asker.Table.Grants.Select(grant => grant.Range));
        Assert.Equal([middle], asker.Refused);
        Assert.Contains(low, asker.Table.Waiting);
    }

    [Fact]
    public void AnUpgradeWaitsForTheOtherSharersAndGoesBeforeThoseInTheQueue()
    {
        Asker asker = new();
        RangeLockTable.Request a = asker.Read(A), b = asker.Read(B), writer = asker.Write(C), late = asker.Read(D);
        RangeLockTable.Request upgrade = asker.Upgrade(A);
        Assert.DoesNotContain(upgrade, asker.Granted);
        Assert.Contains(asker.Table.Grants, grant => grant.Holder == a.Holder && grant.Mode == AcquireMode.Shared);
        asker.Table.Release(b.Holder, b.Range);
        Assert.Equal([a, b, upgrade], asker.Granted);
        Assert.True(asker.Table.HoldsExclusively(Holder(A), upgrade.Range));
        asker.Table.Release(upgrade.Holder, upgrade.Range);
        Assert.Equal([a, b, upgrade, writer], asker.Granted);
        asker.Table.Release(writer.Holder, writer.Range);
        Assert.Contains(late, asker.Granted);
    }

    [Fact]
    public void TheLaterOfTwoUpgradesIsRefusedInsteadOfWaitingForEver()
    {
        Asker asker = new();
        asker.Read(A);
        RangeLockTable.Request b = asker.Read(B);
        RangeLockTable.Request first = asker.Upgrade(A);
        UpgradeConflictException error = Assert.Throws<UpgradeConflictException>(() => asker.Upgrade(B));
        Assert.Contains(A.ToString(), error.Message);
        Assert.Contains(asker.Table.Grants, grant => grant.Holder == b.Holder);
        asker.Table.Release(b.Holder, b.Range);
        Assert.Contains(first, asker.Granted);
    }

    [Fact]
    public void AnUpgradeNeedsTheGrantAndMayBeAskedForAgain()
    {
        Asker asker = new();
        Assert.Throws<NotAcquiredException>(() => asker.Upgrade(A));
        asker.Read(A);
        RangeLockTable.Request b = asker.Read(B);
        RangeLockTable.Request lost = asker.Upgrade(A), again = asker.Upgrade(A);
        Assert.Equal([lost], asker.Refused);
        asker.Table.Release(b.Holder, b.Range);
        Assert.Contains(again, asker.Granted);
        Assert.Contains(asker.Upgrade(A), asker.Granted);
    }

    [Fact]
    public void AnUpgradeThatGivesUpLeavesTheSharedGrant()
    {
        Asker asker = new();
        asker.Read(A);
        asker.Read(B);
        Assert.True(asker.Table.Withdraw(asker.Upgrade(A)));
        Assert.Equal([AcquireMode.Shared, AcquireMode.Shared], asker.Table.Grants.Select(grant => grant.Mode));
    }

    [Fact]
    public void AReleaseEndsTheUpgradeToo()
    {
        Asker asker = new();
        RangeLockTable.Request a = asker.Read(A), b = asker.Read(B), upgrade = asker.Upgrade(A);
        asker.Table.Release(a.Holder, a.Range);
        Assert.Equal([upgrade], asker.Refused);
        asker.Table.Release(b.Holder, b.Range);
        Assert.Empty(asker.Table.Grants);
    }

    [Fact]
    public void ALateReleaseDoesNotEndALaterGrant()
    {
        Asker asker = new();
        RangeLockTable.Request first = asker.Ask(A, 0, 10, AcquireMode.Exclusive, ticket: 1);
        asker.Table.Release(first.Holder, first.Range, 1);
        asker.Ask(A, 0, 10, AcquireMode.Exclusive, ticket: 2);
        RangeLockTable.Grant recalled = Assert.Single(asker.Table.Grants);
        Assert.False(asker.Table.Release(first.Holder, first.Range, 1));
        asker.Table.Release(recalled);
        asker.Ask(A, 0, 10, AcquireMode.Exclusive, ticket: 3);
        asker.Table.Release(recalled);
        Assert.Equal(3UL, Assert.Single(asker.Table.Grants).Ticket);
    }

    /// <summary>Every pair of (what is there, what comes) on the same pages, of the same holder or of another: does the second wait?</summary>
    [Theory]
    [InlineData("Shared", "Commit", false, true)]
    [InlineData("Shared", "Commit", true, true)]
    [InlineData("Exclusive", "Commit", false, true)]
    [InlineData("Exclusive", "Commit", true, false)]
    [InlineData("Commit", "Shared", false, true)]
    [InlineData("Commit", "Shared", true, true)]
    [InlineData("Commit", "Exclusive", false, true)]
    [InlineData("Commit", "Exclusive", true, false)]
    [InlineData("Commit", "Commit", false, false)]
    [InlineData("Commit", "Commit", true, false)]
    public void CommitsAndGrantsMeetByTheTable(string there, string comes, bool sameHolder, bool waits)
    {
        Asker asker = new();
        NodeId other = sameHolder ? A : B;
        RangeLockTable.Waiter first = there == "Commit" ? asker.Commit(A, 1) : asker.Ask(A, 0, 10, Enum.Parse<AcquireMode>(there));
        RangeLockTable.Waiter second = comes == "Commit" ? asker.Commit(other, 2) : asker.Ask(other, 0, 10, Enum.Parse<AcquireMode>(comes));
        Assert.Equal(waits, asker.Table.Queue.Contains(second));
        if (first is RangeLockTable.Commit commit)
            asker.Table.EndCommit(commit.Transaction);
        else
            asker.Table.Release(first.Holder, new ByteRange(0, 10));
        Assert.Empty(asker.Table.Queue);
        asker.Table.AssertInvariants();
    }

    [Fact]
    public void AHoldersCommitDoesNotQueueBehindThoseWhoWaitForIt()
    {
        Asker asker = new();
        asker.Write(A, 0, 10);
        asker.Write(B, 0, 20);
        RangeLockTable.Commit own = asker.Commit(A, 1, new ByteRange(0, 5), new ByteRange(12, 3)), foreign = asker.Commit(C, 2, new ByteRange(12, 3));
        Assert.Contains(own, asker.Table.Commits);
        Assert.Contains(foreign, asker.Table.Queue);
    }

    [Fact]
    public void TheCommitsOfTheDeadStayUntilTheyAreSettled()
    {
        Asker asker = new();
        asker.Write(A);
        RangeLockTable.Commit commit = asker.Commit(A, 1);
        RangeLockTable.Request reader = asker.Read(B);
        asker.Table.RemoveHolder(A, new Incarnation(1));
        Assert.DoesNotContain(reader, asker.Granted);
        asker.Table.EndCommit(commit.Transaction);
        Assert.Contains(reader, asker.Granted);
    }

    [Fact]
    public void AClaimThatConflictsIsNotEntered()
    {
        Asker asker = new();
        Assert.True(asker.Table.TryImport(new RangeLockTable.Grant(Holder(A), new ByteRange(0, 10), AcquireMode.Exclusive, 0)));
        Assert.False(asker.Table.TryImport(new RangeLockTable.Grant(Holder(B), new ByteRange(9, 10), AcquireMode.Shared, 0)));
        Assert.False(asker.Table.TryImport(new RangeLockTable.Grant(Holder(A), new ByteRange(9, 10), AcquireMode.Shared, 0)));
        Assert.True(asker.Table.TryImport(new RangeLockTable.Grant(Holder(B), new ByteRange(10, 10), AcquireMode.Shared, 0)));
        asker.Table.AssertInvariants();
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
            switch (random.Next(9))
            {
                case 6:
                    asker.Commit(node, (ulong)random.Next(1, 6), range);
                    break;
                case 7:
                    asker.Table.EndCommit(new TransactionId(node, (1UL << 40) + (ulong)random.Next(1, 6)));
                    break;
                case 8 when asker.Table.Grants.FirstOrDefault(grant => grant.Mode == AcquireMode.Shared && grant.Holder.Node == node) is { } shared:
                    bool rival = asker.Table.Waiting.Any(other => other.IsUpgrade && other.Holder.Node != node && other.Range.Overlaps(shared.Range));
                    if (rival)
                        Assert.Throws<UpgradeConflictException>(() => asker.Upgrade(node, shared.Range.Offset, shared.Range.Length));
                    else
                        asker.Upgrade(node, shared.Range.Offset, shared.Range.Length);
                    break;
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
                case 4 when asker.Table.Waiting.Any():
                    RangeLockTable.Request waiting = asker.Table.Waiting.ElementAt(random.Next(asker.Table.Waiting.Count()));
                    Assert.True(asker.Table.Withdraw(waiting));
                    withdrawn.Add(waiting);
                    break;
                default:
                    asker.Table.RemoveHolder(node, new Incarnation(1));
                    break;
            }
            asker.Table.AssertInvariants();
        }
        while (asker.Table.Grants.Count > 0 || asker.Table.Commits.Any())
        {
            foreach (RangeLockTable.Commit commit in asker.Table.Commits.ToArray())
                asker.Table.EndCommit(commit.Transaction);
            foreach (RangeLockTable.Grant grant in asker.Table.Grants.ToArray())
                asker.Table.Release(grant);
        }
        Assert.Equal(0, asker.Table.WaitingCount);
        RangeLockTable.Request[] answered = [.. asker.Granted, .. asker.Refused, .. withdrawn];
        Assert.Equal(answered.Length, answered.Distinct().Count());
    }
}
