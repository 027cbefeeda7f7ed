using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
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
            if (await BeginHereAsync(participants, requests) is { } refusal)
                return AttemptOutcome.Failed(refusal);
            Completion[] answers = await PrepareTogetherAsync(transaction, participants, requests);
            direct = Array.TrueForAll(answers, static answer => answer.Value != 0);
            for (int i = 0; i < participants.Length; i++)
            {
                PhaseResult result = answers[i] is { Succeeded: true, Value: 0 }
                    ? await PrepareByGrainAsync(participants[i], requests[i])
                    : OwnerCommits.ToResult(answers[i], "Preparing", transaction.Id);
                CommitAction action = CommitDecision.After(CommitStep.Prepare, result.Status, DegreePossible(requests[i]));
                if (action == CommitAction.Proceed)
                    continue;
                EndHere(transaction.Id, participants, i => !answers[i].Succeeded);
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

    /// <summary>This node's own parts pass its table of grants. Null: they did.</summary>
    private async ValueTask<AttemptResult?> BeginHereAsync(Participant[] participants, PrepareRequest[] requests)
    {
        int begun = 0;
        for (int i = 0; i < participants.Length; i++)
        {
            if (!IsHere(participants[i].Owner))
                continue;
            TimeSpan patience = begun > 0 && requests[i].GrantTimeout > GrantWaitWithPages ? GrantWaitWithPages : requests[i].GrantTimeout;
            if (await owner.BeginAsync(participants[i].Dataset, requests[i] with { GrantTimeout = patience }) is { } refused)
            {
                EndHere(requests[i].Transaction, participants, j => j < i);
                return Refusal(CommitDecision.After(CommitStep.Prepare, refused.Status, DegreePossible(requests[i])), refused, requests[i]);
            }
            begun++;
        }
        return null;
    }

    private void EndHere(TransactionId transaction, Participant[] participants, Predicate<int> which)
    {
        for (int i = 0; i < participants.Length; i++)
        {
            if (IsHere(participants[i].Owner) && which(i))
                owner.End(participants[i].Dataset, transaction);
        }
    }

    private static async ValueTask<Completion[]> PrepareTogetherAsync(INodeTransaction transaction, Participant[] participants, PrepareRequest[] requests)
    {
        OwnerTerms[] terms = new OwnerTerms[participants.Length];
        for (int i = 0; i < terms.Length; i++)
        {
            PrepareRequest request = requests[i];
            terms[i] = new OwnerTerms(participants[i].Dataset, participants[i].Owner, request.FailOnConflict, request.MinDegree, Short(request.LockTimeout));
        }
        Completion call = await transaction.PrepareTogetherAsync(terms);
        return call.Succeeded ? transaction.Answers() : [.. participants.Select(_ => call)];
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
    [SuppressMessage("Reliability", "CA2012", Justification = "It is awaited once, on one of two ways.")]
    private async ValueTask<int[]?> CommitAllAsync(INodeTransaction transaction, Participant[] participants, DateTimeOffset deadline)
    {
        ValueTask<Completion> call = transaction.CommitTogetherAsync();
        if (!call.IsCompleted)
        {
            Task<Completion> all = call.AsTask();
            TimeSpan left = deadline - time.GetUtcNow();
            try
            {
                await all.WaitAsync(left > TimeSpan.Zero ? left : TimeSpan.Zero, time);
            }
            catch (TimeoutException)
            {
                return null;
            }
            call = new ValueTask<Completion>(all);
        }
        if (!(await call).Succeeded)
            return null;
        Completion[] answers = transaction.Answers();
        EndHere(transaction.Id, participants, i => answers[i].Succeeded);
        if (!Array.TrueForAll(answers, static answer => answer.Succeeded))
            return null;
        ForgetLater(transaction.Id, participants);
        return Array.ConvertAll(answers, static answer => answer.Degree);
    }
}
