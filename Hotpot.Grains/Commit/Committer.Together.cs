using Hotpot.Grains.Node;
using Hotpot.Grains.Owner;
using Hotpot.Runtime.Diagnostics;

namespace Hotpot.Grains.Commit;

// Several owners asked at once (together.cpp), which is how a commit over them is tried first: two calls of the engine, and as a rule no call of a grain. Where a gate is
// shut the owner's grain prepares. No order is kept here, so two such commits may each hold what the other wants; then neither waits long, and both are repeated in order.
internal sealed partial class Committer
{
    /// <summary>Patience with locked pages where no order is kept: many times what a commit holds them, and all that two lose which wait for each other.</summary>
    internal static readonly TimeSpan TogetherLockWait = TimeSpan.FromMilliseconds(10);

    private static bool MayGoTogether(CommitWork work, Participant[] participants) =>
        participants.Length > 1 && !Array.Exists(participants, participant => NeedsGrants(work, participant));

    private async Task<AttemptOutcome> CommitTogetherAsync(
        CommitWork work, CommitOptions options, INodeTransaction transaction, Participant[] participants, DateTimeOffset deadline)
    {
        bool direct;
        using (HotpotDiagnostics.BeginCommitPhase(CommitPhase.Prepare))
        {
            // Before anything is sent, and in order: who waits for grants here holds no page anywhere.
            PrepareRequest[] requests = [.. participants.Select(participant => Request(work, options, transaction.Id, participant, deadline))];
            if (await BeginHereAsync(transaction, participants, requests) is { } refusal)
                return AttemptOutcome.Failed(refusal);
            Completion[] answers = await PrepareTogetherAsync(transaction, participants, requests, deadline);
            EndHere(transaction.Id, participants, i => !answers[i].Succeeded);
            direct = Array.TrueForAll(answers, static answer => answer.Value != 0);
            int failed = Array.FindIndex(answers, static answer => !answer.Succeeded);
            if (failed >= 0)
            {
                CommitStep step = answers[failed].Value == 0 ? CommitStep.Stage : CommitStep.Prepare;
                // Who was never sent it, or did not keep it, has nothing to end.
                Participant[] reached = [.. participants.Where((_, i) => answers[i].Succeeded || answers[i].Value != 0)];
                return await AbortAsync(transaction.Id, reached, Judge(step, answers[failed], transaction.Id, requests[failed]), deadline);
            }
            for (int i = 0; i < participants.Length && !direct; i++)
            {
                if (answers[i].Value != 0)
                    continue;
                PhaseResult result = await PrepareByGrainAsync(participants[i], requests[i]);
                CommitAction action = CommitDecision.After(CommitStep.Prepare, result.Status, DegreePossible(requests[i]));
                if (action != CommitAction.Proceed)
                    return await AbortAsync(transaction.Id, participants, Refusal(action, result, requests[i]), deadline);
            }
        }
        // The commit point, as in order.
        CrashPoint.Hit(CrashPoint.AfterPrepare);
        using (HotpotDiagnostics.BeginCommitPhase(CommitPhase.Commit))
        {
            if (direct && await CommitAllAsync(transaction, participants, deadline) is { } degrees)
                return AttemptOutcome.Committed(degrees);
            return ToOutcome(transaction.Id, await ConcludeAllAsync(transaction.Id, participants, commit: true, deadline));
        }
    }

    /// <summary>This node's own parts pass its table of grants, which asks the engine for their pages; so they are staged first. Null: they passed.</summary>
    private async ValueTask<AttemptResult?> BeginHereAsync(INodeTransaction transaction, Participant[] participants, PrepareRequest[] requests)
    {
        AttemptResult? refusal = null;
        int begun = 0;
        try
        {
            for (int i = 0; i < participants.Length && refusal is null; i++)
            {
                if (!IsHere(participants[i].Owner))
                    continue;
                Completion staged = await transaction.StageAsync(participants[i].Dataset, participants[i].Owner);
                TimeSpan patience = begun > 0 && requests[i].GrantTimeout > GrantWaitWithPages ? GrantWaitWithPages : requests[i].GrantTimeout;
                if (!staged.Succeeded)
                    refusal = Judge(CommitStep.Stage, staged, transaction.Id, requests[i]);
                else if (await owner.BeginAsync(participants[i].Dataset, requests[i] with { GrantTimeout = patience }) is { } refused)
                    refusal = Refusal(CommitDecision.After(CommitStep.Prepare, refused.Status, DegreePossible(requests[i])), refused, requests[i]);
                begun++;
            }
            return refusal;
        }
        catch
        {
            EndHere(transaction.Id, participants, static _ => true);
            throw;
        }
        finally
        {
            if (refusal is not null)
                WithdrawHere(transaction.Id, participants);
        }
    }

    /// <summary>Nothing was sent; what is staged here is dropped.</summary>
    private void WithdrawHere(TransactionId transaction, Participant[] participants)
    {
        EndHere(transaction, participants, static _ => true);
        foreach (Participant participant in participants)
        {
            if (IsHere(participant.Owner))
                _ = ConcludeInBackgroundAsync(transaction, participant);
        }
    }

    private AttemptResult Judge(CommitStep step, Completion answer, TransactionId transaction, PrepareRequest request) => Refusal(
        CommitDecision.After(step, answer.Status, DegreePossible(request)), OwnerCommits.ToResult(answer, "Preparing", transaction), request);

    private void EndHere(TransactionId transaction, Participant[] participants, Predicate<int> which)
    {
        for (int i = 0; i < participants.Length; i++)
        {
            if (IsHere(participants[i].Owner) && which(i))
                owner.End(participants[i].Dataset, transaction);
        }
    }

    private async ValueTask<Completion[]> PrepareTogetherAsync(
        INodeTransaction transaction, Participant[] participants, PrepareRequest[] requests, DateTimeOffset deadline)
    {
        OwnerTerms[] terms = new OwnerTerms[participants.Length];
        for (int i = 0; i < terms.Length; i++)
        {
            PrepareRequest request = requests[i];
            terms[i] = new OwnerTerms(participants[i].Dataset, participants[i].Owner, request.FailOnConflict, request.MinDegree, Short(request.LockTimeout));
        }
        if (await WithinAsync(transaction.PrepareTogetherAsync(terms), deadline) is not { } call)
            return [.. participants.Select(_ => new Completion(HotpotStatus.PeerLost, 0, 1, "The owners of the changed pages did not answer in time."))];
        // An error of the call itself: nothing was sent, and only what was staged here is to be dropped.
        return call.Succeeded ? transaction.Answers() : [.. participants.Select(participant => call with { Value = IsHere(participant.Owner) ? 1UL : 0 })];
    }

    /// <summary>Null: the time is over, or this node's is. The call goes on, and nobody needs its answers.</summary>
    private async ValueTask<Completion?> WithinAsync(ValueTask<Completion> call, DateTimeOffset deadline)
    {
        if (call.IsCompletedSuccessfully)
            return call.Result;
        TimeSpan left = deadline - time.GetUtcNow();
        try
        {
            return await call.AsTask().WaitAsync(left > TimeSpan.Zero ? left : TimeSpan.Zero, time, lifetime.Ending);
        }
        catch (Exception error) when (error is TimeoutException or OperationCanceledException)
        {
            return null;
        }
    }

    private static TimeSpan Short(TimeSpan patience) => patience < TogetherLockWait ? patience : TogetherLockWait;

    /// <summary>A part that its owner only keeps. Pages are held elsewhere by now.</summary>
    private Task<PhaseResult> PrepareByGrainAsync(Participant participant, PrepareRequest request)
    {
        TimeSpan grants = request.GrantTimeout < GrantWaitWithPages ? request.GrantTimeout : GrantWaitWithPages;
        request = request with { LockTimeout = Short(request.LockTimeout), GrantTimeout = grants };
        return CallAsync(() => grains.OwnerGrain(participant.Dataset, participant.Owner).PrepareAsync(request));
    }

    /// <summary>The degree at each owner, or null where an answer is missing: then it is asked for.</summary>
    private async ValueTask<int[]?> CommitAllAsync(INodeTransaction transaction, Participant[] participants, DateTimeOffset deadline)
    {
        if (await WithinAsync(transaction.CommitTogetherAsync(), deadline) is not { Succeeded: true })
            return null;
        Completion[] answers = transaction.Answers();
        EndHere(transaction.Id, participants, i => answers[i].Succeeded);
        if (!Array.TrueForAll(answers, static answer => answer.Succeeded))
            return null;
        ForgetLater(transaction.Id, participants);
        return Array.ConvertAll(answers, static answer => answer.Degree);
    }
}
