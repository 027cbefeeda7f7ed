using Hotpot.Grains.Dataset;
using static Hotpot.Tests.Grains.TestNodes;

namespace Hotpot.Tests.Grains.Dataset;

/// <summary>Every input of the tables at the head of RecoveryDecision, for up to three replicas or parts.</summary>
public sealed class RecoveryDecisionTests
{
    // What a replica may report of a chunk: nothing, an unfinished copy, or a complete one at a sequence.
    private static readonly ChunkState?[] Reports =
    [
        null,
        new ChunkState { Held = true, Complete = false, Sequence = new CommitSequence(9) },
        new ChunkState { Held = true, Complete = true, Sequence = new CommitSequence(0) },
        new ChunkState { Held = true, Complete = true, Sequence = new CommitSequence(1) },
        new ChunkState { Held = true, Complete = true, Sequence = new CommitSequence(2) },
    ];

    private static IEnumerable<T[]> Tuples<T>(IReadOnlyCollection<T> values, int length) => length == 0
        ? [[]]
        : Tuples(values, length - 1).SelectMany(head => values.Select(value => (T[])[.. head, value]));

    [Fact]
    public void TheOwnerIsACompleteCopyWithEveryCommit()
    {
        ChunkEntry entry = Entry([A, B, C], phase: ChunkPhase.Recovering);
        foreach (ChunkState?[] states in Tuples(Reports, 3))
        {
            Dictionary<NodeId, ChunkState?> reports = new() { [A] = states[0], [B] = states[1], [C] = states[2] };
            OwnerChoice choice = RecoveryDecision.ChooseOwner(entry, reports);
            ulong?[] complete = [.. states.Select(state => state is null ? 0 : state.Value.Complete ? state.Value.Sequence.Value : (ulong?)null)];
            Assert.Equal(complete.All(sequence => sequence is null), choice.MustWait);
            if (choice.MustWait)
                continue;
            int owner = Array.IndexOf([A, B, C], choice.Owner);
            Assert.Equal(complete.Max(), complete[owner]);
            // Among equals the first, and the first of all is the present owner.
            Assert.DoesNotContain(complete.Max(), complete[..owner]);
            Assert.Equal(complete.Select((sequence, i) => (sequence, i)).Where(copy => copy.sequence != complete.Max()).Select(copy => All[copy.i]), choice.Behind);
        }
    }

    [Fact]
    public void ReplicasThatDidNotAnswerAndOnesThatJoinAreNotChosen()
    {
        ChunkEntry entry = Entry([A, B], [C], ChunkPhase.Recovering);
        OwnerChoice choice = RecoveryDecision.ChooseOwner(entry, new Dictionary<NodeId, ChunkState?> { [B] = Reports[3], [C] = Reports[4] });
        Assert.Equal(B, choice.Owner);
        Assert.Empty(choice.Behind);
    }

    [Fact]
    public void TheStrongestWordOfTheReplicasWins()
    {
        foreach (int count in Enumerable.Range(0, 4))
        {
            foreach (TransactionOutcome[] answers in Tuples(Enum.GetValues<TransactionOutcome>(), count))
            {
                PartOutcome expected = answers.Length == 0 ? PartOutcome.Unreachable
                    : Array.IndexOf(answers, TransactionOutcome.Committed) >= 0 ? PartOutcome.Committed
                    : Array.IndexOf(answers, TransactionOutcome.Aborted) >= 0 ? PartOutcome.Aborted
                    : Array.IndexOf(answers, TransactionOutcome.Unknown) >= 0 ? PartOutcome.Refused
                    : PartOutcome.Prepared;
                Assert.Equal(expected, RecoveryDecision.Combine(answers));
            }
        }
    }

    [Fact]
    public void ATransactionCommitsIfItWasCommittedOrIsPreparedEverywhere()
    {
        foreach (int count in Enumerable.Range(1, 3))
        {
            foreach (PartOutcome[] parts in Tuples(Enum.GetValues<PartOutcome>(), count))
            {
                Verdict verdict = RecoveryDecision.Settle(parts);
                if (parts.Any(part => part == PartOutcome.Committed))
                    Assert.Equal(Verdict.Commit, verdict);
                else if (parts.Any(part => part is PartOutcome.Aborted or PartOutcome.Refused))
                    Assert.Equal(Verdict.Abort, verdict);
                else if (parts.Any(part => part == PartOutcome.Unreachable))
                    Assert.Equal(Verdict.Wait, verdict);
                else
                    Assert.Equal(Verdict.Commit, verdict);
            }
        }
    }

    [Fact]
    public void TheVerdictStandsWhenItIsReachedAgainFromItsOwnTraces()
    {
        // What the verdict leaves behind: Committed where it was prepared, Aborted where it was prepared or refused.
        foreach (PartOutcome[] parts in Tuples(Enum.GetValues<PartOutcome>(), 3))
        {
            Verdict verdict = RecoveryDecision.Settle(parts);
            if (verdict == Verdict.Wait)
                continue;
            PartOutcome trace = verdict == Verdict.Commit ? PartOutcome.Committed : PartOutcome.Aborted;
            // The grain may have died after any number of the nodes were told.
            for (int told = 0; told <= parts.Length; told++)
            {
                PartOutcome[] again = [.. parts.Select((part, i) => i < told && part == PartOutcome.Prepared ? trace : part)];
                Assert.Equal(verdict, RecoveryDecision.Settle(again));
            }
        }
    }

    [Fact]
    public void NothingIsDecidedFromNothing() => Assert.Equal(Verdict.Wait, RecoveryDecision.Settle([]));
}
