using System.Runtime.CompilerServices;
using Hotpot.Grains.Node;
using Hotpot.Grains.Owner;
using Hotpot.Runtime.Diagnostics;

namespace Hotpot.Grains.Commit;

// The phases of one attempt at its owners: stage, then prepare and commit, or abort. CommitDecision says what each answer means.
internal sealed partial class Committer
{
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<AttemptOutcome> CommitInOrderAsync(
        CommitWork work, CommitOptions options, INodeTransaction transaction, Participant[] participants, DateTimeOffset deadline, CancellationToken cancellationToken)
    {
        // With several, each request is made when its turn comes.
        PrepareRequest? request = participants.Length == 1 ? Request(work, options, transaction.Id, participants[0], deadline) : null;
        PhaseResult? direct = null;
        AttemptResult? unstaged;
        if (request is not null && !IsHere(participants[0].Owner) && !NeedsGrants(work, participants[0]))
            (unstaged, direct) = await StageDirectAsync(transaction, participants[0], request);
        else
            unstaged = AfterStage(transaction, participants, await StageAsync(transaction, participants));
        if (unstaged is null && request is null && !HasOwners(participants, transaction.Parts()))
            unstaged = Moved(transaction.Id, participants);
        if (unstaged is not null)
            return AttemptOutcome.Failed(unstaged);
        CrashPoint.Hit(CrashPoint.AfterStage);
        // From here on a cancellation is not heeded before the outcome is known: it would leave the caller with less than an answer.
        if (direct is null)
            cancellationToken.ThrowIfCancellationRequested();
        return request is not null
            ? await CommitSingleAsync(transaction.Id, participants, request, deadline, direct)
            : await CommitSeveralAsync(work, options, transaction.Id, participants, deadline);
    }

    /// <summary>Every part went to its owner: staging takes what the map says at that moment, which may be newer than the participants are.</summary>
    private static bool HasOwners(Participant[] participants, TransactionPart[] parts) => Array.TrueForAll(parts, part => Array.Exists(
        participants, participant => participant.Dataset == part.Dataset && participant.Owner == part.Owner && Array.IndexOf(participant.Chunks, part.Chunk) >= 0));

    private AttemptResult Moved(TransactionId transaction, Participant[] participants)
    {
        foreach (Participant participant in participants)
            _ = ConcludeInBackgroundAsync(transaction, participant);
        return AttemptResult.Again(CommitAction.Refresh, HotpotStatus.NotOwner, "A changed chunk has another owner since the commit began.");
    }

    /// <summary>
    /// The record at the only owner, which is another node: kept there, or also committed where no grant can be in the way. The result is then the commit's, and else null.
    /// </summary>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<(AttemptResult? Failure, PhaseResult? Committed)> StageDirectAsync(
        INodeTransaction transaction, Participant participant, PrepareRequest request)
    {
        using HotpotDiagnostics.PhaseScope phase = HotpotDiagnostics.BeginCommitPhase(CommitPhase.Commit);
        Completion completion = await transaction.CommitAtAsync(
            participant.Dataset, participant.Owner, request.FailOnConflict, request.MinDegree, request.LockTimeout);
        return completion.Value == 0
            ? (AfterStage(transaction, [participant], [completion]), null)
            : (null, OwnerCommits.ToResult(completion, "Committing", transaction.Id));
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private static async ValueTask<Completion[]> StageAsync(INodeTransaction transaction, Participant[] participants)
    {
        using HotpotDiagnostics.PhaseScope phase = HotpotDiagnostics.BeginCommitPhase(CommitPhase.Stage);
        return participants.Length == 1
            ? [await transaction.StageAsync(participants[0].Dataset, participants[0].Owner)]
            : await Task.WhenAll(participants.Select(participant => transaction.StageAsync(participant.Dataset, participant.Owner).AsTask()));
    }

    /// <summary>Null: all have the record.</summary>
    private AttemptResult? AfterStage(INodeTransaction transaction, Participant[] participants, Completion[] staged)
    {
        int failed = Array.FindIndex(staged, static completion => !completion.Succeeded);
        return failed < 0 ? null : Unstaged(transaction, participants, staged, failed);
    }

    private AttemptResult Unstaged(INodeTransaction transaction, Participant[] participants, Completion[] staged, int failed)
    {
        // Nothing is prepared, so nothing can come of it; the owners are told only so that they need not keep it until this node dies.
        Participant[] reached = [.. participants.Where((_, i) => staged[i].Succeeded)];
        foreach (Participant participant in reached)
            _ = ConcludeInBackgroundAsync(transaction.Id, participant);
        HotpotException error = staged[failed].ToException($"Sending the commit to node {participants[failed].Owner} failed");
        CommitAction action = CommitDecision.After(CommitStep.Stage, staged[failed].Status, degreePossible: true);
        return new AttemptResult(action, null, error);
    }

    /// <param name="holdsPages">The transaction is prepared at another owner: what waits there must not wait long for a grant here.</param>
    private PrepareRequest Request(
        CommitWork work, CommitOptions options, TransactionId transaction, Participant participant, DateTimeOffset deadline, bool holdsPages = false)
    {
        TimeSpan left = deadline - time.GetUtcNow();
        TimeSpan lockTimeout = left <= TimeSpan.Zero ? TimeSpan.Zero : left < LongestLockWait ? left : LongestLockWait;
        LocalDataset local = Find(work, participant.Dataset);
        DatasetDescription dataset = local.Description;
        ByteRange[] chunks = [.. dataset.RangesOf(participant.Chunks)];
        return new PrepareRequest
        {
            Transaction = transaction,
            FailOnConflict = options.FailOnConflict,
            MinDegree = MinDegree(local, options),
            LockTimeout = lockTimeout,
            GrantTimeout = holdsPages && lockTimeout > GrantWaitWithPages ? GrantWaitWithPages : lockTimeout,
            Ranges = dataset.Mode == SharingMode.SingleWriter ? Inside(work.DeclaredRanges(dataset.Id), chunks) : [],
            Chunks = chunks,
        };
    }

    /// <summary>The declared ranges, in whichever order they were, as far as they lie in the owner's chunks: ascending, without overlap.</summary>
    internal static ByteRange[] Inside(ByteRange[] declared, ByteRange[] chunks)
    {
        List<ByteRange> inside = new(declared.Length);
        foreach (ByteRange range in declared)
        {
            foreach (ByteRange chunk in chunks)
            {
                if (range.Overlaps(chunk))
                    inside.Add(chunk.Intersect(range));
            }
        }
        if (inside.Count < 2)
            return [.. inside];
        inside.Sort(static (left, right) => left.Offset.CompareTo(right.Offset));
        List<ByteRange> merged = [];
        foreach (ByteRange range in inside)
            merged.AddMerged(range);
        return [.. merged];
    }

    private bool IsHere(NodeId node) => node == engine.Identity.Node;

    private bool DegreePossible(PrepareRequest request) => cluster.Current.Live.Count >= request.MinDegree;

    /// <summary>How an attempt that reached its owners ended: committed, with a degree for each participant, or a failure after which it can never commit.</summary>
    private readonly record struct AttemptOutcome(int[] Degrees, AttemptResult? Failure)
    {
        public static AttemptOutcome Committed(params int[] degrees) => new(degrees, null);

        public static AttemptOutcome Failed(AttemptResult failure) => new([], failure);
    }

    /// <summary>The owner's grain would let it pass, or look at its grants: only it knows.</summary>
    private static bool NeedsGrants(CommitWork work, Participant participant) => Find(work, participant.Dataset).Description.Mode == SharingMode.SingleWriter;

    /// <param name="direct">The owner has carried it out already, or tried to.</param>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<AttemptOutcome> CommitSingleAsync(
        TransactionId transaction, Participant[] participants, PrepareRequest request, DateTimeOffset deadline, PhaseResult? direct)
    {
        // What the owner has carried out already was measured then.
        using HotpotDiagnostics.PhaseScope? phase = direct is null ? HotpotDiagnostics.BeginCommitPhase(CommitPhase.Commit) : null;
        Participant participant = participants[0];
        PhaseResult result = direct ?? (IsHere(participant.Owner)
            ? await CallAsync(owner.CommitAsync(participant.Dataset, request))
            : await CallOwnerAsync(participant, request));
        CommitAction action = CommitDecision.AfterSingle(result, DegreePossible(request));
        if (action == CommitAction.AskOutcome)
        {
            Conclusion conclusion = await ConcludeAllAsync(transaction, participants, commit: true, deadline);
            if (conclusion.Committed)
                return AttemptOutcome.Committed(conclusion.Degrees);
            return AttemptOutcome.Failed(Refusal(CommitAction.Refresh, result, request));
        }
        if (action == CommitAction.Proceed)
        {
            ForgetLater(transaction, participants);
            return AttemptOutcome.Committed(result.Degree);
        }
        // Not prepared, so nothing can come of it; the owner is told so that it does not keep the record until this node dies.
        _ = ConcludeInBackgroundAsync(transaction, participant);
        return AttemptOutcome.Failed(Refusal(action, result, request));
    }

    private Task<PhaseResult> CallOwnerAsync(Participant participant, PrepareRequest request) =>
        CallAsync(() => grains.OwnerGrain(participant.Dataset, participant.Owner).CommitAsync(request));

    private async Task<AttemptOutcome> CommitSeveralAsync(
        CommitWork work, CommitOptions options, TransactionId transaction, Participant[] participants, DateTimeOffset deadline)
    {
        using (HotpotDiagnostics.BeginCommitPhase(CommitPhase.Prepare))
        {
            for (int i = 0; i < participants.Length; i++)
            {
                Participant participant = participants[i];
                PrepareRequest request = Request(work, options, transaction, participant, deadline, holdsPages: i > 0);
                PhaseResult result = IsHere(participant.Owner)
                    ? await CallAsync(owner.PrepareAsync(participant.Dataset, request))
                    : await CallAsync(() => grains.OwnerGrain(participant.Dataset, participant.Owner).PrepareAsync(request));
                CommitAction action = CommitDecision.After(CommitStep.Prepare, result.Status, DegreePossible(request));
                if (action != CommitAction.Proceed)
                    return await AbortAsync(transaction, participants, Refusal(action, result, request), deadline);
                if (i == 0)
                    CrashPoint.Hit(CrashPoint.AfterFirstPrepare);
            }
        }
        // The commit point: every participant has the record durably on all its replicas. From here on it can only commit.
        CrashPoint.Hit(CrashPoint.AfterPrepare);
        using (HotpotDiagnostics.BeginCommitPhase(CommitPhase.Commit))
            return ToOutcome(transaction, await ConcludeAllAsync(transaction, participants, commit: true, deadline));
    }

    private static AttemptOutcome ToOutcome(TransactionId transaction, Conclusion conclusion) => conclusion.Committed
        ? AttemptOutcome.Committed(conclusion.Degrees)
        : AttemptOutcome.Failed(AttemptResult.Again(CommitAction.Refresh, HotpotStatus.Refused, $"Transaction {transaction} was settled as aborted."));

    private async Task<AttemptOutcome> AbortAsync(TransactionId transaction, Participant[] participants, AttemptResult failure, DateTimeOffset deadline)
    {
        using HotpotDiagnostics.PhaseScope phase = HotpotDiagnostics.BeginCommitPhase(CommitPhase.Abort);
        Conclusion conclusion = await ConcludeAllAsync(transaction, participants, commit: false, deadline);
        // A prepare whose answer was lost may have been the last one missing, and recovery may have seen all of them and committed.
        return conclusion.Committed ? AttemptOutcome.Committed(conclusion.Degrees) : AttemptOutcome.Failed(failure);
    }

    private static AttemptResult Refusal(CommitAction action, PhaseResult result, PrepareRequest request)
    {
        HotpotException error = result.Status == HotpotStatus.Degree
            ? new DegreeException(result.Degree, request.MinDegree, committed: false)
            : HotpotException.From(result.Status == HotpotStatus.Ok ? HotpotStatus.Refused : result.Status, result.Message);
        if (result.Status == HotpotStatus.NotAcquired)
            error = new NotAcquiredException(result.Message);
        return new AttemptResult(action, null, error);
    }
}
