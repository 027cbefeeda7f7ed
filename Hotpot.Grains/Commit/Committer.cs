using System.Collections.Concurrent;
using System.Diagnostics;
using Hotpot.Grains.Acquire;
using Hotpot.Grains.Membership;
using Hotpot.Grains.Node;
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
//   several owners: PrepareAsync one after the other in the order of (dataset, node), so that two commits cannot hold what the other wants;
//                   when the last one is prepared the commit point is passed; then CommitPreparedAsync in parallel, then ForgetAsync
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
//   2. ForgetAsync is sent only when every participant has confirmed the commit, and with several of them only after ForgetDelay: a replica answers an apply before its
//      marker is durable, and should it restart in between, the other participants' memory is the proof that the transaction committed;
//   3. success is reported only with the degree asked for; a lower one is DegreeException with Committed = true.
//
// Potential weakness: the prepares of several owners are sequential, so a commit over n owners takes n + 1 round trips.
internal sealed partial class Committer(
    INodeEngine engine, IGrainFactory grains, DatasetRegistry datasets, Acquirer acquirer, IClusterView cluster, TimeProvider time, ILogger<Committer> logger)
    : ICommitter
{
    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(2);
    private static readonly TimeSpan LongestPause = TimeSpan.FromMilliseconds(250);

    /// <summary>How long one prepare waits in line for locked pages: long enough for the commits ahead, short enough to retry several times.</summary>
    private static readonly TimeSpan LongestLockWait = TimeSpan.FromSeconds(5);

    private readonly CancellationTokenSource _stopping = new();

    /// <summary>Much longer than any log waits to flush what it has.</summary>
    private static readonly TimeSpan ForgetDelay = TimeSpan.FromSeconds(60);

    /// <summary>Owners bound their memory themselves, so what does not fit here is simply not forgotten early.</summary>
    private const int MaxForgetful = 1 << 16;

    private readonly ConcurrentQueue<(DateTimeOffset Due, TransactionId Transaction, Participant[] Participants)> _forgetLater = new();

    // Commits in flight plus conclusions in the background. Changed by Interlocked only.
    private int _running;

    // Set by DrainAsync, which runs once.
    private TaskCompletionSource? _drained;

    public async Task<CommitResult> CommitAsync(IReadOnlyList<CommitScope> scopes, CommitOptions options, CancellationToken cancellationToken)
    {
        List<(LocalDataset, ByteRange[])> opened = [];
        foreach (CommitScope scope in scopes)
        {
            foreach (ByteRange range in scope.Ranges)
                range.CheckInside(scope.Dataset.Size, scope.Dataset.Name);
            opened.Add((await datasets.OpenAsync(scope.Dataset.Id, cancellationToken), [.. scope.Ranges]));
        }
        if (opened.Count == 0)
            throw new InvalidRequestException("The commit names no dataset; give at least one.");
        return await RunAsync(new StoresWork(opened, acquirer), options, cancellationToken);
    }

    public async Task<CommitResult> WriteAsync(
        DatasetDescription dataset, long offset, ReadOnlyMemory<byte> bytes, CommitOptions options, CancellationToken cancellationToken)
    {
        new ByteRange(offset, bytes.Length).CheckInside(dataset.Size, dataset.Name);
        LocalDataset local = await datasets.OpenAsync(dataset.Id, cancellationToken);
        return await RunAsync(new BytesWork(local, offset, bytes, acquirer), options, cancellationToken);
    }

    /// <summary>Refuses new commits and waits for those in flight: the first step of leaving.</summary>
    public async Task DrainAsync(CancellationToken cancellationToken)
    {
        _drained = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        Interlocked.MemoryBarrier();
        if (Volatile.Read(ref _running) > 0)
            await _drained.Task.WaitAsync(cancellationToken);
    }

    /// <summary>Ends what is still in flight when the silo stops.</summary>
    public void Stop() => _stopping.Cancel();

    private void Enter()
    {
        Interlocked.Increment(ref _running);
        if (_drained is null)
            return;
        Leave();
        throw new EngineClosedException("This silo is shutting down and takes no commits any more; commit on another one.");
    }

    private void Leave()
    {
        if (Interlocked.Decrement(ref _running) == 0)
            _drained?.TrySetResult();
    }

    private async Task<CommitResult> RunAsync(CommitWork work, CommitOptions options, CancellationToken cancellationToken)
    {
        Enter();
        long started = Stopwatch.GetTimestamp();
        HotpotStatus status = HotpotStatus.Failed;
        using Activity? activity = HotpotDiagnostics.Activities.StartActivity("hotpot.commit");
        using CancellationTokenSource cancelled = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, _stopping.Token);
        try
        {
            CommitResult result = await RepeatAsync(work, options, cancelled.Token);
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

    private async Task<CommitResult> RepeatAsync(CommitWork work, CommitOptions options, CancellationToken cancellationToken)
    {
        foreach (DatasetDescription dataset in work.Datasets.Select(dataset => dataset.Description))
        {
            if (options.MinDegree < 0 || options.MinDegree > dataset.Degree)
                throw new InvalidRequestException(
                    $"The commit asks for {options.MinDegree} copies, but dataset '{dataset.Name}' keeps {dataset.Degree}; ask for at most as many.");
        }
        DateTimeOffset deadline = time.GetUtcNow() + options.EffectiveTimeout;
        TimeSpan pause = FirstPause;
        for (int attempt = 1; ; attempt++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            AttemptResult result = await AttemptAsync(work, options, deadline, cancellationToken);
            if (result.Commit is { } committed)
                return committed with { Attempts = attempt };
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

    private sealed record AttemptResult(CommitAction Action, CommitResult? Commit, HotpotException? Error)
    {
        public static AttemptResult Done(CommitResult commit) => new(CommitAction.Proceed, commit, null);

        public static AttemptResult Again(CommitAction action, HotpotStatus status, string message) =>
            new(action, null, HotpotException.From(status, message));

        public static AttemptResult Failed(HotpotException error) => new(CommitAction.Fail, null, error);
    }

    /// <summary>The chunks of one dataset that one node owns: one participant of the transaction.</summary>
    private sealed record Participant(DatasetId Dataset, NodeId Owner, ChunkIndex[] Chunks);

    private async Task<AttemptResult> AttemptAsync(CommitWork work, CommitOptions options, DateTimeOffset deadline, CancellationToken cancellationToken)
    {
        using INodeTransaction transaction = engine.CreateTransaction();
        long bytes;
        using (HotpotDiagnostics.BeginCommitPhase(CommitPhase.Collect))
            bytes = work.Collect(engine, transaction);
        if (bytes == 0)
            return AttemptResult.Done(new CommitResult
            {
                Degree = work.Datasets.Min(dataset => MinDegree(dataset, options)), Bytes = 0, Pages = 0, Owners = 0,
            });

        TransactionPart[] parts;
        using (HotpotDiagnostics.BeginCommitPhase(CommitPhase.Assign))
        {
            try
            {
                parts = await AssignAsync(work, options, transaction);
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
        if (parts.FirstOrDefault(part => part.Owner.IsNone) is { Dataset.IsNone: false } waiting)
            return AttemptResult.Again(
                CommitAction.Refresh, HotpotStatus.Unreachable,
                $"Chunk {waiting.Chunk} of dataset {waiting.Dataset} has no owner now because the nodes that hold it are down; start their silos.");
        CrashPoint.Hit(CrashPoint.AfterAssign);
        Participant[] participants =
        [
            .. parts.GroupBy(part => (part.Dataset, part.Owner), part => part.Chunk)
                .Select(group => new Participant(group.Key.Dataset, group.Key.Owner, [.. group]))
                .OrderBy(participant => participant.Dataset).ThenBy(participant => participant.Owner),
        ];
        if (await StageAsync(transaction, participants) is { } unstaged)
            return unstaged;
        CrashPoint.Hit(CrashPoint.AfterStage);
        // From here on a cancellation is not heeded before the outcome is known: it would leave the caller with less than an answer.
        cancellationToken.ThrowIfCancellationRequested();

        AttemptOutcome outcome = participants.Length == 1
            ? await CommitSingleAsync(work, options, transaction.Id, participants[0], deadline)
            : await CommitSeveralAsync(work, options, transaction.Id, participants, deadline);
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
            Pages = parts.Sum(part => part.Pages),
            Owners = participants.Length,
        });
    }

    private static LocalDataset Find(CommitWork work, DatasetId dataset) =>
        work.Datasets.First(candidate => candidate.Description.Id == dataset);

    private static int MinDegree(LocalDataset dataset, CommitOptions options) =>
        options.MinDegree > 0 ? options.MinDegree : dataset.Description.Degree;

    private async Task<TransactionPart[]> AssignAsync(CommitWork work, CommitOptions options, INodeTransaction transaction)
    {
        TransactionPart[] parts = transaction.Parts();
        var unassigned = parts.Where(part => part.Owner.IsNone).GroupBy(part => part.Dataset, part => part.Chunk).ToArray();
        foreach (IGrouping<DatasetId, ChunkIndex> group in unassigned)
        {
            LocalDataset dataset = Find(work, group.Key);
            ChunkEntry[] entries = await grains.DatasetGrain(group.Key).AssignAsync([.. group], engine.Identity.Node, MinDegree(dataset, options));
            // The grain has installed new entries here already; ones that existed before may be news to this node.
            await datasets.ApplyMapAsync(dataset, entries);
        }
        return unassigned.Length == 0 ? parts : transaction.Parts();
    }

    private async Task<AttemptResult?> StageAsync(INodeTransaction transaction, Participant[] participants)
    {
        Completion[] staged;
        using (HotpotDiagnostics.BeginCommitPhase(CommitPhase.Stage))
            staged = await Task.WhenAll(participants.Select(participant => transaction.StageAsync(participant.Dataset, participant.Owner).AsTask()));
        int failed = Array.FindIndex(staged, completion => !completion.Succeeded);
        if (failed < 0)
            return null;
        // Nothing is prepared, so nothing can come of it; the owners are told only so that they need not keep it until this node dies.
        Participant[] reached = [.. participants.Where((_, i) => staged[i].Succeeded)];
        foreach (Participant participant in reached)
            _ = ConcludeInBackgroundAsync(transaction.Id, participant);
        HotpotException error = staged[failed].ToException($"Sending the commit to node {participants[failed].Owner} failed");
        CommitAction action = CommitDecision.After(CommitStep.Stage, staged[failed].Status, degreePossible: true);
        return new AttemptResult(action, null, error);
    }

    private PrepareRequest Request(CommitWork work, CommitOptions options, TransactionId transaction, Participant participant, DateTimeOffset deadline)
    {
        TimeSpan left = deadline - time.GetUtcNow();
        return new PrepareRequest
        {
            Transaction = transaction,
            FailOnConflict = options.FailOnConflict,
            MinDegree = MinDegree(Find(work, participant.Dataset), options),
            LockTimeout = left <= TimeSpan.Zero ? TimeSpan.Zero : left < LongestLockWait ? left : LongestLockWait,
            Ranges = work.DeclaredRanges(participant.Dataset),
        };
    }

    private bool DegreePossible(PrepareRequest request) => cluster.Current.Live.Count >= request.MinDegree;

    /// <summary>How an attempt that reached its owners ended: committed, with a degree for each participant, or a failure after which it can never commit.</summary>
    private readonly record struct AttemptOutcome(int[] Degrees, AttemptResult? Failure)
    {
        public static AttemptOutcome Committed(params int[] degrees) => new(degrees, null);

        public static AttemptOutcome Failed(AttemptResult failure) => new([], failure);
    }

    private async Task<AttemptOutcome> CommitSingleAsync(
        CommitWork work, CommitOptions options, TransactionId transaction, Participant participant, DateTimeOffset deadline)
    {
        using HotpotDiagnostics.PhaseScope phase = HotpotDiagnostics.BeginCommitPhase(CommitPhase.Commit);
        PrepareRequest request = Request(work, options, transaction, participant, deadline);
        PhaseResult result = await CallAsync(() => grains.OwnerGrain(participant.Dataset, participant.Owner).CommitAsync(request));
        CommitAction action = CommitDecision.AfterSingle(result, DegreePossible(request));
        if (action == CommitAction.AskOutcome)
        {
            Conclusion conclusion = await ConcludeAllAsync(transaction, [participant], commit: true, deadline);
            if (conclusion.Committed)
                return AttemptOutcome.Committed(conclusion.Degrees);
            return AttemptOutcome.Failed(Refusal(CommitAction.Refresh, result, request));
        }
        if (action == CommitAction.Proceed)
        {
            _ = ForgetAsync(transaction, [participant]);
            return AttemptOutcome.Committed(result.Degree);
        }
        // Not prepared, so nothing can come of it; the owner is told so that it does not keep the record until this node dies.
        _ = ConcludeInBackgroundAsync(transaction, participant);
        return AttemptOutcome.Failed(Refusal(action, result, request));
    }

    private async Task<AttemptOutcome> CommitSeveralAsync(
        CommitWork work, CommitOptions options, TransactionId transaction, Participant[] participants, DateTimeOffset deadline)
    {
        using (HotpotDiagnostics.BeginCommitPhase(CommitPhase.Prepare))
        {
            for (int i = 0; i < participants.Length; i++)
            {
                Participant participant = participants[i];
                PrepareRequest request = Request(work, options, transaction, participant, deadline);
                PhaseResult result = await CallAsync(() => grains.OwnerGrain(participant.Dataset, participant.Owner).PrepareAsync(request));
                CommitAction action = CommitDecision.After(CommitStep.Prepare, result.Status, DegreePossible(request));
                if (action != CommitAction.Proceed)
                    return await AbortAsync(transaction, participants, Refusal(action, result, request), deadline);
                if (i == 0)
                    CrashPoint.Hit(CrashPoint.AfterFirstPrepare);
            }
        }
        // The commit point: every participant has the record durably on all its replicas. From here on it can only commit.
        CrashPoint.Hit(CrashPoint.AfterPrepare);
        Conclusion conclusion;
        using (HotpotDiagnostics.BeginCommitPhase(CommitPhase.Commit))
            conclusion = await ConcludeAllAsync(transaction, participants, commit: true, deadline);
        return conclusion.Committed
            ? AttemptOutcome.Committed(conclusion.Degrees)
            : AttemptOutcome.Failed(AttemptResult.Again(CommitAction.Refresh, HotpotStatus.Refused, $"Transaction {transaction} was settled as aborted."));
    }

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

    /// <summary>Turns a lost answer into a status, so that one table judges both.</summary>
    private static async Task<PhaseResult> CallAsync(Func<Task<PhaseResult>> call)
    {
        try
        {
            return await call();
        }
        catch (HotpotException error)
        {
            return PhaseResult.Failed(error.Status, error.Message);
        }
        catch (Exception error) when (TransientErrors.IsLostAnswer(error))
        {
            return PhaseResult.Failed(HotpotStatus.PeerLost, error.Message);
        }
    }

    /// <summary>The end of a transaction at all its participants, with the degree each one reached.</summary>
    private readonly record struct Conclusion(bool Committed, int[] Degrees);

    /// <summary>The end of a transaction at one participant.</summary>
    private readonly record struct Ending(bool Committed, int Degree);

    /// <summary>
    /// Brings a transaction to its end at every participant. What cannot be brought to its end in time goes on in the background.
    /// </summary>
    /// <exception cref="OutcomeUnknownException">The time ran out before the outcome was known.</exception>
    private async Task<Conclusion> ConcludeAllAsync(TransactionId transaction, Participant[] participants, bool commit, DateTimeOffset deadline)
    {
        Task<Ending[]> all = Task.WhenAll(participants.Select((participant, i) => ConcludeCountedAsync(transaction, participant, commit, first: i == 0)));
        Ending[] endings;
        try
        {
            TimeSpan left = deadline - time.GetUtcNow();
            endings = await all.WaitAsync(left > TimeSpan.Zero ? left : TimeSpan.Zero, time);
        }
        catch (Exception error) when (error is TimeoutException or OperationCanceledException)
        {
            throw new OutcomeUnknownException(
                $"Whether transaction {transaction} committed is not known yet because a participant does not answer; read the data again before you repeat the commit.");
        }
        bool committed = endings.Any(ending => ending.Committed);
        if (committed && !endings.All(ending => ending.Committed))
            LogTorn(transaction, participants.Length);
        if (committed)
            ForgetLater(transaction, participants);
        return new Conclusion(committed, [.. endings.Select(ending => ending.Degree)]);
    }

    private async Task<Ending> ConcludeCountedAsync(TransactionId transaction, Participant participant, bool commit, bool first)
    {
        Interlocked.Increment(ref _running);
        try
        {
            Ending ending = await ConcludeAsync(transaction, participant, commit);
            if (first && commit)
                CrashPoint.Hit(CrashPoint.AfterFirstCommit);
            return ending;
        }
        finally
        {
            Leave();
        }
    }

    /// <summary>
    /// Asks the owner by the newest map to commit or to abort, and when it cannot, what the outcome is, until it is known. An owner that knows
    /// nothing of the transaction refuses it for ever, so that answer is an outcome too.
    /// </summary>
    private async Task<Ending> ConcludeAsync(TransactionId transaction, Participant participant, bool commit)
    {
        NodeId owner = participant.Owner;
        ChunkIndex chunk = participant.Chunks[0];
        TimeSpan pause = FirstPause;
        while (true)
        {
            if (!owner.IsNone)
            {
                IOwnerGrain grain = grains.OwnerGrain(participant.Dataset, owner);
                PhaseResult result = await CallAsync(() => commit ? grain.CommitPreparedAsync(transaction) : grain.AbortAsync(transaction));
                if (result.IsOk)
                    return new Ending(commit, result.Degree);
                if (await AskAsync(grain, transaction, chunk) is { } ending)
                    return ending;
                LogUnresolved(transaction, owner, result.Status);
            }
            await Task.Delay(pause, time, _stopping.Token);
            pause = pause * 2 < LongestPause ? pause * 2 : LongestPause;
            owner = await FindOwnerAsync(participant.Dataset, chunk);
        }
    }

    /// <summary>Null: not known yet. Only a node that serves the chunk answers; while it recovers, the record may still come from another replica.</summary>
    private async Task<Ending?> AskAsync(IOwnerGrain owner, TransactionId transaction, ChunkIndex chunk)
    {
        try
        {
            OutcomeReport report = await owner.GetOutcomeAsync(transaction, chunk);
            return report.Outcome switch
            {
                TransactionOutcome.Committed => new Ending(true, report.Degree),
                TransactionOutcome.Prepared => null,
                _ => new Ending(false, 0),
            };
        }
        catch (Exception error) when (TransientErrors.IsLostAnswer(error) || error is HotpotException)
        {
            LogLostAnswer(error, transaction);
            return null;
        }
    }

    private async Task<NodeId> FindOwnerAsync(DatasetId dataset, ChunkIndex chunk)
    {
        try
        {
            ChunkEntry? entry = (await grains.DatasetGrain(dataset).GetEntriesAsync([chunk])).FirstOrDefault();
            return entry is { Phase: ChunkPhase.Active } ? entry.Owner : NodeId.None;
        }
        catch (Exception error) when (TransientErrors.MayPass(error))
        {
            LogNoEntry(error, dataset);
            return NodeId.None;
        }
    }

    // Detached: the outcome is decided, only the owner's memory of it is to be freed. It ends with the node at the latest.
    private async Task ConcludeInBackgroundAsync(TransactionId transaction, Participant participant)
    {
        try
        {
            await ConcludeCountedAsync(transaction, participant, commit: false, first: false);
        }
        catch (Exception error) when (error is OperationCanceledException or HotpotException)
        {
            LogBackground(error, transaction);
        }
    }

    private void ForgetLater(TransactionId transaction, Participant[] participants)
    {
        DateTimeOffset now = time.GetUtcNow();
        if (_forgetLater.Count < MaxForgetful)
            _forgetLater.Enqueue((now + ForgetDelay, transaction, participants));
        // Two for one, so that the queue empties faster than commits fill it.
        for (int i = 0; i < 2 && _forgetLater.TryPeek(out var head) && head.Due <= now && _forgetLater.TryDequeue(out head); i++)
            _ = ForgetAsync(head.Transaction, head.Participants);
    }

    // Detached for the same reason.
    private async Task ForgetAsync(TransactionId transaction, Participant[] participants)
    {
        foreach (Participant participant in participants)
        {
            try
            {
                await grains.OwnerGrain(participant.Dataset, participant.Owner).ForgetAsync(transaction);
            }
            catch (Exception error) when (TransientErrors.IsLostAnswer(error) || error is HotpotException)
            {
                LogBackground(error, transaction);
            }
        }
    }

    [LoggerMessage(LogLevel.Debug, "Attempt {Attempt} of a commit did not succeed ({Action}): {Reason}")]
    private partial void LogRepeated(int attempt, CommitAction action, string reason);

    [LoggerMessage(LogLevel.Debug, "The chunk map of dataset {Dataset} could not be read; it is asked for again.")]
    private partial void LogNoEntry(Exception error, DatasetId dataset);

    [LoggerMessage(LogLevel.Debug, "Transaction {Transaction} is not resolved at node {Node} yet ({Status}).")]
    private partial void LogUnresolved(TransactionId transaction, NodeId node, HotpotStatus status);

    [LoggerMessage(LogLevel.Debug, "The outcome of transaction {Transaction} was not told; it is asked for again.")]
    private partial void LogLostAnswer(Exception error, TransactionId transaction);

    [LoggerMessage(LogLevel.Debug, "The clean-up of transaction {Transaction} did not reach an owner; it forgets when this node's incarnation ends.")]
    private partial void LogBackground(Exception error, TransactionId transaction);

    [LoggerMessage(LogLevel.Critical, "Transaction {Transaction} has committed at some and aborted at others of its {Participants} participants; report this with the logs of all silos.")]
    private partial void LogTorn(TransactionId transaction, int participants);
}
