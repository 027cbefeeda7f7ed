using Hotpot.Grains;
using Hotpot.Grains.Commit;

namespace Hotpot.Tests.Grains.Commit;

/// <summary>Every status at every step: the table at the head of CommitDecision.</summary>
public sealed class CommitDecisionTests
{
    private static CommitAction Expected(CommitStep step, HotpotStatus status, bool degreePossible)
    {
        bool single = step == CommitStep.CommitSingle;
        switch (status)
        {
            case HotpotStatus.Ok:
                return CommitAction.Proceed;
            case HotpotStatus.Busy:
                return CommitAction.BackOff;
            case HotpotStatus.StaleEpoch:
            case HotpotStatus.NotOwner:
            case HotpotStatus.NotAssigned:
            case HotpotStatus.Refused:
            case HotpotStatus.NotFound:
                return CommitAction.Refresh;
            case HotpotStatus.Closed:
            case HotpotStatus.NodeUnavailable:
            case HotpotStatus.Unreachable:
            case HotpotStatus.PeerLost:
            case HotpotStatus.Timeout:
                return single ? CommitAction.AskOutcome : CommitAction.Refresh;
            case HotpotStatus.Io:
            case HotpotStatus.Poisoned:
                return single ? CommitAction.AskOutcome : step == CommitStep.Prepare ? CommitAction.Refresh : CommitAction.Fail;
            case HotpotStatus.Degree:
                return degreePossible ? CommitAction.Refresh : CommitAction.Fail;
            default:
                return CommitAction.Fail;
        }
    }

    [Fact]
    public void EveryStatusHasItsAction()
    {
        foreach (CommitStep step in Enum.GetValues<CommitStep>())
        {
            foreach (HotpotStatus status in Enum.GetValues<HotpotStatus>())
            {
                foreach (bool possible in new[] { false, true })
                    Assert.Equal((step, status, Expected(step, status, possible)), (step, status, CommitDecision.After(step, status, possible)));
            }
        }
    }

    [Fact]
    public void OnlyASingleParticipantIsAskedForAnOutcome()
    {
        foreach (CommitStep step in new[] { CommitStep.Stage, CommitStep.Prepare })
        {
            foreach (HotpotStatus status in Enum.GetValues<HotpotStatus>())
                Assert.NotEqual(CommitAction.AskOutcome, CommitDecision.After(step, status, degreePossible: true));
        }
    }

    [Fact]
    public void AfterItIsPreparedASingleParticipantIsNeverBelievedToHaveFailed()
    {
        foreach (HotpotStatus status in Enum.GetValues<HotpotStatus>().Where(status => status != HotpotStatus.Ok))
        {
            PhaseResult failed = PhaseResult.Failed(status, "It failed.") with { FailedAfterPrepare = true };
            Assert.Equal(CommitAction.AskOutcome, CommitDecision.AfterSingle(failed, degreePossible: false));
        }
    }
}
