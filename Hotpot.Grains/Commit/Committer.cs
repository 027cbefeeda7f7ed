using System.Diagnostics;
using System.Runtime.CompilerServices;
using Hotpot.Grains.Acquire;
using Hotpot.Grains.Membership;
using Hotpot.Grains.Node;
using Hotpot.Grains.Owner;
using Hotpot.Runtime.Diagnostics;
using Microsoft.Extensions.Logging;

namespace Hotpot.Grains.Commit;

// The commit node's side of a commit.
//
// Problem: what an application stored must become durable at several owners and their replicas at once or not at all, although any node, this one
// included, may die at any line, and although a lost answer looks the same as a lost request.
//
// Scheme, one attempt:
//   collect   the changed bytes, into a transaction with an id that is never given away twice
//   assign    chunks that nobody owns yet get an owner, installed on every member before this goes on
//   stage     the record goes to each owner (native, in parallel); nothing durable yet
//   one owner:      CommitAsync: prepare and commit in one call
//   several owners: first all at once, with little patience (Committer.Together.cs). Where that fails, or grants have to be looked at, PrepareAsync one after the other
//                   in the order of (dataset, node), so that two commits cannot hold what the other wants;
//                   when the last one is prepared the commit point is passed; then CommitPreparedAsync in parallel, then ForgetAsync
// Where this node is the owner itself it does the owner's part without a call (OwnerCommits). Other owners do theirs without a call as soon as they have the record, unless
// grants may be in the way; then they only keep it (direct.cpp).
// An attempt that fails before the commit point is aborted everywhere and, where CommitDecision says so, repeated as a new transaction, with a newer
// map, after a pause. A commit as a whole has a time-out.
//
// Lost answers: never guessed at. Before the commit point of several participants this node decides by itself: abort. After it, and with a single
// participant always, the participants are asked (ConcludeAsync): the owner by the newest map commits or refuses, whichever it can still do. The loop
// goes on in the background when the caller's time runs out, so that nothing stays locked; the caller gets OutcomeUnknownException.
//
// Crash of this node: prepared transactions are settled by the dataset grains (DatasetGrain.Recovery) by the same rule: all prepared means commit.
// Crash of an owner: recovery promotes a replica and settles; ConcludeAsync finds the result at the new owner.
//
// Invariants:
//   1. a new attempt starts only when the one before it can never commit: some participant has refused it durably, or it was never prepared anywhere;
//   2. ForgetAsync is sent only when every participant has confirmed the commit, and only after ForgetDelay: a replica answers an apply before its marker is
//      durable, and should it restart in between, the memory of the others is the proof that the transaction committed;
//   3. success is reported only with the degree asked for; a lower one is DegreeException with Committed = true.
//
// Potential weakness: a repeated attempt over n owners takes n + 1 round trips of grain calls, and where commits over the same owners contend many are repeated.
internal sealed partial class Committer(
    INodeEngine engine, IGrainFactory grains, DatasetRegistry datasets, OwnerCommits owner, Acquirer acquirer, NodeLifetime lifetime, IClusterView cluster, TimeProvider time,
    ILogger<Committer> logger)
    : ICommitter
{
    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(2);
    private static readonly TimeSpan LongestPause = TimeSpan.FromMilliseconds(250);

    /// <summary>How long one prepare waits in line for locked pages: long enough for the commits ahead, short enough to retry several times.</summary>
    private static readonly TimeSpan LongestLockWait = TimeSpan.FromSeconds(5);

    /// <summary>The same for grants while pages are locked at other owners: several times a short reader's stay, and the end of a circle through it.</summary>
    private static readonly TimeSpan GrantWaitWithPages = TimeSpan.FromMilliseconds(500);

    // Commits in flight plus conclusions in the background. Changed by Interlocked only.
    private int _running;

    // Set by DrainAsync, which runs once.
    private TaskCompletionSource? _drained;

    public async Task<CommitResult> CommitAsync(IReadOnlyList<CommitScope> scopes, CommitOptions options, CancellationToken cancellationToken)
    {
        var opened = new (LocalDataset, ByteRange[])[scopes.Count];
        for (int i = 0; i < opened.Length; i++)
        {
            CommitScope scope = scopes[i];
            var ranges = new ByteRange[scope.Ranges.Count];
            for (int j = 0; j < ranges.Length; j++)
            {
                ranges[j] = scope.Ranges[j];
                ranges[j].CheckInside(scope.Dataset.Size, scope.Dataset.Name);
            }
            opened[i] = (await datasets.OpenAsync(scope.Dataset.Id, cancellationToken), ranges);
        }
        if (opened.Length == 0)
            throw new InvalidRequestException("The commit names no dataset; give at least one.");
        return await RunAsync(new StoresWork(opened, acquirer), options, cancellationToken);
    }

    public Task<CommitResult> WriteAsync(
        DatasetDescription dataset, long offset, ReadOnlyMemory<byte> bytes, CommitOptions options, CancellationToken cancellationToken) =>
        WriteAsync(dataset, [new ByteWrite(offset, bytes)], options, cancellationToken);

    public async Task<CommitResult> WriteAsync(
        DatasetDescription dataset, IReadOnlyList<ByteWrite> writes, CommitOptions options, CancellationToken cancellationToken)
    {
        foreach (ByteWrite write in writes)
            write.Range.CheckInside(dataset.Size, dataset.Name);
        LocalDataset local = await datasets.OpenAsync(dataset.Id, cancellationToken);
        return await RunAsync(new BytesWork(local, writes, acquirer), options, cancellationToken);
    }

    /// <summary>Refuses new commits and waits for those in flight: the first step of leaving.</summary>
    public async Task DrainAsync(CancellationToken cancellationToken)
    {
        _drained = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        Interlocked.MemoryBarrier();
        if (Volatile.Read(ref _running) > 0)
            await _drained.Task.WaitAsync(cancellationToken);
    }

    private void Enter()
    {
        Interlocked.Increment(ref _running);
        if (_drained is null && !lifetime.Ending.IsCancellationRequested)
            return;
        Leave();
        throw lifetime.Refusal();
    }

    private void Leave()
    {
        if (Interlocked.Decrement(ref _running) == 0)
            _drained?.TrySetResult();
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<CommitResult> RunAsync(CommitWork work, CommitOptions options, CancellationToken cancellationToken)
    {
        Enter();
        long started = Stopwatch.GetTimestamp();
        HotpotStatus status = HotpotStatus.Failed;
        using Activity? activity = HotpotDiagnostics.Activities.StartActivity("hotpot.commit");
        try
        {
            CommitResult result = await lifetime.RunAsync(
                (Committer: this, work, options), static (call, ending) => call.Committer.RepeatAsync(call.work, call.options, ending), cancellationToken);
            activity?.SetTag("owners", result.Owners).SetTag("pages", result.Pages).SetTag("attempts", result.Attempts);
            status = HotpotStatus.Ok;
            return result;
        }
        catch (HotpotException error)
        {
            status = error.Status;
            activity?.SetStatus(ActivityStatusCode.Error, error.Message);
            throw;
        }
        finally
        {
            HotpotDiagnostics.RecordCommit(started, status);
            Leave();
        }
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<CommitResult> RepeatAsync(CommitWork work, CommitOptions options, CancellationToken cancellationToken)
    {
        foreach (LocalDataset local in work.Datasets)
        {
            DatasetDescription dataset = local.Description;
            if (options.MinDegree < 0 || options.MinDegree > dataset.Degree)
                throw new InvalidRequestException(
                    $"The commit asks for {options.MinDegree} copies, but dataset '{dataset.Name}' keeps {dataset.Degree}; ask for at most as many.");
        }
        // As it is now: what others in this silo acquire in the meantime is theirs.
        IGrant[] releasing = options.ReleaseGrants ? HeldInside(work) : [];
        DateTimeOffset deadline = time.GetUtcNow() + options.EffectiveTimeout;
        TimeSpan pause = FirstPause;
        for (int attempt = 1; ; attempt++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            AttemptResult result = await AttemptAsync(work, options, first: attempt == 1, deadline, cancellationToken);
            if (result.Commit is { } committed)
            {
                foreach (IGrant grant in releasing)
                    await grant.DisposeAsync();
                return attempt == 1 ? committed : committed with { Attempts = attempt };
            }
            if (result.Action == CommitAction.Fail)
                throw result.Error!;
            if (time.GetUtcNow() + pause >= deadline)
                throw new HotpotTimeoutException(
                    $"The commit was not carried out within {options.EffectiveTimeout.TotalSeconds:0.###} s; try again or give it more time. The last obstacle: {result.Error!.Message}");
            LogRepeated(attempt, result.Action, result.Error!.Message);
            // Half of the pause is random, so that commits that met once do not meet again in step.
            await Task.Delay(pause / 2 + pause / 2 * Random.Shared.NextDouble(), time, cancellationToken);
            pause = pause * 2 < LongestPause ? pause * 2 : LongestPause;
            foreach (LocalDataset dataset in result.Action == CommitAction.Refresh ? work.Datasets : [])
                await datasets.TryRefreshAsync(dataset, cancellationToken);
        }
    }

    private IGrant[] HeldInside(CommitWork work) =>
        [.. work.Datasets.SelectMany(dataset => acquirer.HeldInside(dataset.Description.Id, work.CommittedPages(dataset.Description)))];

    private sealed record AttemptResult(CommitAction Action, CommitResult? Commit, HotpotException? Error)
    {
        public static AttemptResult Done(CommitResult commit) => new(CommitAction.Proceed, commit, null);

        public static AttemptResult Again(CommitAction action, HotpotStatus status, string message) =>
            new(action, null, HotpotException.From(status, message));

        public static AttemptResult Failed(HotpotException error) => new(CommitAction.Fail, null, error);
    }

    /// <summary>The chunks of one dataset that one node owns: one participant of the transaction.</summary>
    private sealed record Participant(DatasetId Dataset, NodeId Owner, ChunkIndex[] Chunks);

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<AttemptResult> AttemptAsync(
        CommitWork work, CommitOptions options, bool first, DateTimeOffset deadline, CancellationToken cancellationToken)
    {
        using INodeTransaction transaction = engine.CreateTransaction();
        long bytes;
        using (HotpotDiagnostics.BeginCommitPhase(CommitPhase.Collect))
            bytes = work.Collect(engine, transaction);
        if (bytes == 0)
            return AttemptResult.Done(new CommitResult
            {
                Degree = MinDegree(work, options), Bytes = 0, Pages = 0, Owners = 0,
            });

        TransactionPart[] parts;
        using (HotpotDiagnostics.BeginCommitPhase(CommitPhase.Assign))
        {
            try
            {
                parts = await AssignAsync(work, options, transaction, cancellationToken);
            }
            catch (DegreeException error)
            {
                // Enough nodes live but have not joined the dataset yet: they will in a moment.
                return new AttemptResult(cluster.Current.Live.Count >= error.Asked ? CommitAction.BackOff : CommitAction.Fail, null, error);
            }
            catch (Exception error) when (TransientErrors.MayPass(error))
            {
                return AttemptResult.Again(CommitAction.Refresh, HotpotStatus.Busy, error.Message);
            }
        }
        if (parts.FirstOrDefault(static part => part.Owner.IsNone) is { Dataset.IsNone: false } waiting)
            return AttemptResult.Again(
                CommitAction.Refresh, HotpotStatus.Unreachable,
                $"Chunk {waiting.Chunk} of dataset {waiting.Dataset} has no owner now because the nodes that hold it are down; start their silos.");
        CrashPoint.Hit(CrashPoint.AfterAssign);
        Participant[] participants = Participants(parts);
        AttemptOutcome outcome = first && MayGoTogether(work, participants)
            ? await CommitTogetherAsync(work, options, transaction, participants, deadline)
            : await CommitInOrderAsync(work, options, transaction, participants, deadline, cancellationToken);
        if (outcome.Failure is { } failure)
            return failure;
        CrashPoint.Hit(CrashPoint.AfterCommit);
        for (int i = 0; i < participants.Length; i++)
        {
            int wanted = MinDegree(Find(work, participants[i].Dataset), options);
            if (outcome.Degrees[i] < wanted)
                throw new DegreeException(outcome.Degrees[i], wanted, committed: true);
        }
        return AttemptResult.Done(new CommitResult
        {
            Degree = outcome.Degrees.Min(),
            Bytes = bytes,
            Pages = parts.Sum(static part => part.Pages),
            Owners = participants.Length,
        });
    }

    /// <summary>In the order in which they are prepared.</summary>
    private static Participant[] Participants(TransactionPart[] parts)
    {
        // Nearly every commit.
        if (IsOfOne(parts))
            return [new Participant(parts[0].Dataset, parts[0].Owner, Array.ConvertAll(parts, static part => part.Chunk))];
        return
        [
            .. parts.GroupBy(part => (part.Dataset, part.Owner), part => part.Chunk)
                .Select(group => new Participant(group.Key.Dataset, group.Key.Owner, [.. group]))
                .OrderBy(participant => participant.Dataset).ThenBy(participant => participant.Owner),
        ];
    }

    private static bool IsOfOne(TransactionPart[] parts)
    {
        foreach (TransactionPart part in parts)
        {
            if (part.Dataset != parts[0].Dataset || part.Owner != parts[0].Owner)
                return false;
        }
        return true;
    }

    private static LocalDataset Find(CommitWork work, DatasetId dataset)
    {
        foreach (LocalDataset candidate in work.Datasets)
        {
            if (candidate.Description.Id == dataset)
                return candidate;
        }
        throw new UnreachableException($"Dataset {dataset} is not part of the commit.");
    }

    private static int MinDegree(CommitWork work, CommitOptions options) => work.Datasets.Min(dataset => MinDegree(dataset, options));

    private static int MinDegree(LocalDataset dataset, CommitOptions options) =>
        options.MinDegree > 0 ? options.MinDegree : dataset.Description.Degree;

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<TransactionPart[]> AssignAsync(
        CommitWork work, CommitOptions options, INodeTransaction transaction, CancellationToken cancellationToken)
    {
        TransactionPart[] parts = transaction.Parts();
        if (Array.TrueForAll(parts, static part => !part.Owner.IsNone))
            return parts;
        var unassigned = parts.Where(part => part.Owner.IsNone).GroupBy(part => part.Dataset, part => part.Chunk).ToArray();
        foreach (IGrouping<DatasetId, ChunkIndex> group in unassigned)
        {
            LocalDataset dataset = Find(work, group.Key);
            ChunkEntry[] entries = await grains.DatasetGrain(group.Key)
                .AssignAsync([.. group], engine.Identity.Node, MinDegree(dataset, options)).WaitAsync(cancellationToken);
            // The grain has installed new entries here already; ones that existed before may be news to this node.
            await datasets.ApplyMapAsync(dataset, entries);
        }
        return transaction.Parts();
    }

    [LoggerMessage(LogLevel.Debug, "Attempt {Attempt} of a commit did not succeed ({Action}): {Reason}")]
    private partial void LogRepeated(int attempt, CommitAction action, string reason);
}
