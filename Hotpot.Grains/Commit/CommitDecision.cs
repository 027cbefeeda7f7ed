namespace Hotpot.Grains.Commit;

/// <summary>Which answer is being judged.</summary>
internal enum CommitStep
{
    /// <summary>The record was sent to an owner; nothing is kept there durably.</summary>
    Stage,

    /// <summary>One of several owners prepared.</summary>
    Prepare,

    /// <summary>The only owner prepared and committed in one call.</summary>
    CommitSingle,
}

/// <summary>What the commit node does next.</summary>
internal enum CommitAction
{
    Proceed,

    /// <summary>The same map will do; wait a moment and begin a new transaction.</summary>
    BackOff,

    /// <summary>Take the newest map, wait a moment and begin a new transaction.</summary>
    Refresh,

    /// <summary>Whether the transaction committed is not known: find out, and never guess.</summary>
    AskOutcome,

    /// <summary>It cannot succeed; nothing was applied.</summary>
    Fail,
}

// What a status means for a commit, as a table over (step, status, degree possible). The tests enumerate every status.
//
//   status                                     | Stage    | Prepare  | CommitSingle
//   Ok                                         | Proceed  | Proceed  | Proceed
//   Busy                                       | BackOff  | BackOff  | BackOff       pages locked, or the chunk recovers
//   StaleEpoch NotOwner NotAssigned            | Refresh  | Refresh  | Refresh       the map has moved on
//   Refused NotFound                           | Refresh  | Refresh  | Refresh       the owner restarted, or recovery was first
//   Closed NodeUnavailable Unreachable         | Refresh  | Refresh  | AskOutcome    the owner goes or is gone
//   PeerLost Timeout                           | Refresh  | Refresh  | AskOutcome    the answer was lost, the deed perhaps not
//   Io Poisoned                                | Fail     | Refresh  | AskOutcome    the owner cannot say what its disk kept
//   Degree, enough nodes live                  | Refresh  | Refresh  | Refresh       replicas are being restored
//   Degree, too few nodes live                 | Fail     | Fail     | Fail
//   Conflict NotAcquired DiskFull Limit
//     and everything else                      | Fail     | Fail     | Fail
//
// Every failure before the commit point of a transaction with several participants may be answered by an abort, whatever it left behind, because the
// commit point is passed only by this node's own decision. A single participant passes it alone; so there a lost answer must be looked for.
internal static class CommitDecision
{
    public static CommitAction After(CommitStep step, HotpotStatus status, bool degreePossible) => status switch
    {
        HotpotStatus.Ok => CommitAction.Proceed,
        HotpotStatus.Busy => CommitAction.BackOff,
        HotpotStatus.StaleEpoch or HotpotStatus.NotOwner or HotpotStatus.NotAssigned => CommitAction.Refresh,
        HotpotStatus.Refused or HotpotStatus.NotFound => CommitAction.Refresh,
        HotpotStatus.Closed or HotpotStatus.NodeUnavailable or HotpotStatus.Unreachable or HotpotStatus.PeerLost or HotpotStatus.Timeout =>
            step == CommitStep.CommitSingle ? CommitAction.AskOutcome : CommitAction.Refresh,
        HotpotStatus.Io or HotpotStatus.Poisoned => step switch
        {
            CommitStep.Stage => CommitAction.Fail,
            CommitStep.Prepare => CommitAction.Refresh,
            _ => CommitAction.AskOutcome,
        },
        HotpotStatus.Degree => degreePossible ? CommitAction.Refresh : CommitAction.Fail,
        _ => CommitAction.Fail,
    };

    /// <summary>A prepared transaction with one participant has passed its commit point, so no failure after that is final.</summary>
    public static CommitAction AfterSingle(PhaseResult result, bool degreePossible) =>
        result.FailedAfterPrepare ? CommitAction.AskOutcome : After(CommitStep.CommitSingle, result.Status, degreePossible);
}
