using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;

namespace Hotpot.Grains.Commit;

// Bringing a transaction to its end at every participant, whatever happened to the answers; and forgetting it afterwards.
internal sealed partial class Committer
{
    /// <summary>Much longer than any log waits to flush what it has.</summary>
    private static readonly TimeSpan ForgetDelay = TimeSpan.FromSeconds(60);

    /// <summary>Owners bound their memory themselves, so what does not fit here is simply not forgotten early.</summary>
    private const int MaxForgetful = 1 << 16;

    private readonly ConcurrentQueue<(DateTimeOffset Due, TransactionId Transaction, Participant[] Participants)> _forgetLater = new();

    /// <summary>Turns a lost answer into a status, so that one table judges both.</summary>
    private async Task<PhaseResult> CallAsync(Func<Task<PhaseResult>> call)
    {
        try
        {
            return await call().WaitAsync(lifetime.Ending);
        }
        catch (OperationCanceledException) when (lifetime.Ending.IsCancellationRequested)
        {
            return PhaseResult.Failed(HotpotStatus.PeerLost, lifetime.Refusal().Message);
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

    /// <summary>The same for this node's own part, which ends in place as a rule; then nothing is allocated.</summary>
    private ValueTask<PhaseResult> CallAsync(ValueTask<PhaseResult> call) =>
        call.IsCompletedSuccessfully ? call : new ValueTask<PhaseResult>(CallAsync(call.AsTask));

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
        catch (TimeoutException)
        {
            throw new OutcomeUnknownException(
                $"Whether transaction {transaction} committed is not known yet because a participant does not answer; read the data again before you repeat the commit.");
        }
        catch (OperationCanceledException)
        {
            throw new OutcomeUnknownException(
                $"Whether transaction {transaction} committed is not known because this silo {(lifetime.IsFenced ? "was declared dead" : "stops")}; read the data again on another one before you repeat the commit.");
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
        NodeId at = participant.Owner;
        ChunkIndex chunk = participant.Chunks[0];
        TimeSpan pause = FirstPause;
        while (true)
        {
            if (!at.IsNone)
            {
                IOwnerGrain grain = grains.OwnerGrain(participant.Dataset, at);
                PhaseResult result = (commit, IsHere(at)) switch
                {
                    (true, true) => await CallAsync(owner.CommitPreparedAsync(participant.Dataset, transaction)),
                    (true, false) => await CallAsync(() => grain.CommitPreparedAsync(transaction)),
                    (false, true) => await CallAsync(owner.AbortAsync(participant.Dataset, transaction)),
                    (false, false) => await CallAsync(() => grain.AbortAsync(transaction)),
                };
                if (result.IsOk)
                    return new Ending(commit, result.Degree);
                if (await AskAsync(grain, transaction, chunk) is { } ending)
                    return ending;
                LogUnresolved(transaction, at, result.Status);
            }
            await Task.Delay(pause, time, lifetime.Ending);
            pause = pause * 2 < LongestPause ? pause * 2 : LongestPause;
            at = await FindOwnerAsync(participant.Dataset, chunk);
        }
    }

    /// <summary>Null: not known yet. Only a node that serves the chunk answers; while it recovers, the record may still come from another replica.</summary>
    private async Task<Ending?> AskAsync(IOwnerGrain owner, TransactionId transaction, ChunkIndex chunk)
    {
        try
        {
            OutcomeReport report = await owner.GetOutcomeAsync(transaction, chunk).WaitAsync(lifetime.Ending);
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
            ChunkEntry? entry = (await grains.DatasetGrain(dataset).GetEntriesAsync([chunk]).WaitAsync(lifetime.Ending)).FirstOrDefault();
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
                if (IsHere(participant.Owner))
                    engine.Forget(transaction, participant.Dataset);
                else
                    await grains.OwnerGrain(participant.Dataset, participant.Owner).ForgetAsync(transaction);
            }
            catch (Exception error) when (TransientErrors.IsLostAnswer(error) || error is HotpotException)
            {
                LogBackground(error, transaction);
            }
        }
    }

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
