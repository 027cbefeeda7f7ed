namespace Hotpot.Grains.Dataset;

/// <summary>Who is to own a chunk after its recovery, and which counted replicas must be synchronised from it first.</summary>
internal readonly record struct OwnerChoice(NodeId Owner, NodeId[] Behind)
{
    /// <summary>No complete copy answered: nothing can be served before one does.</summary>
    public bool MustWait => Owner.IsNone;
}

/// <summary>What all surviving replicas of one chunk together say about a transaction's part on it.</summary>
internal enum PartOutcome
{
    /// <summary>No counted replica of the chunk is here to say.</summary>
    Unreachable,

    /// <summary>Some replica lacks it, so it was never prepared.</summary>
    Refused,

    /// <summary>Every replica that is here has it.</summary>
    Prepared,
    Aborted,
    Committed,
}

internal enum Verdict
{
    Wait,
    Abort,
    Commit,
}

// The decisions of recovery, as tables. The tests enumerate every input.
//
//   ChooseOwner      copies that the counted replicas report -> the owner
//     none is complete                         | wait
//     some are complete                        | the highest sequence; among equals the present owner, then the order of replicas
//     A replica that reports nothing was assigned and never written to: complete, at sequence 0. (A node that lost its data directory
//     has another id, so it cannot be mistaken for one.) Complete replicas with a lower sequence, and incomplete ones, are behind.
//
//   Combine          what the replicas of one chunk say -> the part's outcome; the strongest word wins
//     Committed > Aborted > Unknown (= Refused) > Prepared, nobody asked = Unreachable
//     Committed first, because an acknowledgement may rest on it; Aborted before Prepared, because whoever aborted at one replica decided
//     before the others heard of it; Unknown before Prepared, because a participant is prepared only when every replica has the record: one that
//     lacks it proves that the commit point was not passed. So a part that commits is held by all its replicas, and any one of them can die next.
//
//   Settle           the parts of one transaction -> the verdict
//     any Committed                            | commit: its commit point was passed
//     else any Aborted or Refused              | abort: it can never pass its commit point
//     else any Unreachable                     | wait: the missing part may have been committed and acknowledged
//     else (all Prepared)                      | commit: every participant has the record, so the commit point was passed
internal static class RecoveryDecision
{
    public static OwnerChoice ChooseOwner(ChunkEntry entry, IReadOnlyDictionary<NodeId, ChunkState?> reports)
    {
        (NodeId Node, bool Complete, CommitSequence Sequence)[] copies =
        [
            .. ConfigurationDecision.Counted(entry).Where(reports.ContainsKey).Select(node => reports[node] is { } state
                ? (node, state.Complete, state.Sequence)
                : (node, true, default)),
        ];
        (NodeId Node, bool Complete, CommitSequence Sequence)[] complete = [.. copies.Where(copy => copy.Complete)];
        if (complete.Length == 0)
            return new OwnerChoice(NodeId.None, []);
        CommitSequence highest = complete.Max(copy => copy.Sequence);
        // The first of the highest: Counted lists the present owner first.
        NodeId owner = complete.First(copy => copy.Sequence == highest).Node;
        return new OwnerChoice(owner, [.. copies.Where(copy => !copy.Complete || copy.Sequence != highest).Select(copy => copy.Node)]);
    }

    public static PartOutcome Combine(IReadOnlyCollection<TransactionOutcome> answers) => answers switch
    {
        { Count: 0 } => PartOutcome.Unreachable,
        _ when answers.Contains(TransactionOutcome.Committed) => PartOutcome.Committed,
        _ when answers.Contains(TransactionOutcome.Aborted) => PartOutcome.Aborted,
        _ when answers.Contains(TransactionOutcome.Unknown) => PartOutcome.Refused,
        _ => PartOutcome.Prepared,
    };

    public static Verdict Settle(IReadOnlyCollection<PartOutcome> parts) => parts switch
    {
        _ when parts.Contains(PartOutcome.Committed) => Verdict.Commit,
        _ when parts.Contains(PartOutcome.Aborted) || parts.Contains(PartOutcome.Refused) => Verdict.Abort,
        _ when parts.Contains(PartOutcome.Unreachable) || parts.Count == 0 => Verdict.Wait,
        _ => Verdict.Commit,
    };
}
