using Hotpot.Runtime.Diagnostics;
using Microsoft.Extensions.Logging;

namespace Hotpot.Grains.Dataset;

// Recovery of chunks whose configuration lost a replica.
//
// Problem: a node died. It may have owned chunks, been in the middle of commits for others, or been the commit node of transactions that are prepared
// elsewhere. What was acknowledged must survive whole; what was not must appear whole or not at all; and the grain may die at
// any line of this too.
//
// Scheme: the phase stored in the map drives everything, so recovery is not an operation that must finish but a state that nodes work off
// by calling MaintainAsync, slice by slice, from whichever activation lives.
//
//   1. fence      (Membership) epoch+1, RECOVERING, on every member: from here on no replica accepts anything of the old
//                 epoch, so what the replicas hold can be read without it moving. The owner serves nothing yet.
//   2. settle     every transaction that is undecided on some member and touches the slice, or whose commit node is dead, is decided by what the replicas of
//                 all its chunks say (RecoveryDecision). Before anything is taken for absent, every replica is made to refuse it for
//                 ever, so a message that is still under way cannot make it appear later.
//   3. choose     the complete copy with the highest sequence becomes the owner's.
//   4. level      the other counted replicas copy from it, so every counted replica has every commit again.
//   5. activate   the same epoch, ACTIVE: stored, confirmed on every member, served.
//   6. restore    (Restore) the degree, in the background.
//
// Crash of this grain in any step: the chunks are still RECOVERING in the store, and the next MaintainAsync does the steps again.
// Settling is idempotent at the nodes, and it decides the same: a verdict makes its own evidence (Committed, or Refused) at every replica.
// Death of another node in the middle: a call to it fails, the slice ends, and its own fence (a newer epoch) starts the steps anew.
// A participant whose chunk waits for a node: the verdict is Wait; the chunks it touches here stay RECOVERING until that node returns,
// because it may hold the only proof that the transaction was acknowledged.
//
// The commit node may be alive, lose an answer, and abort what is about to be committed here. So before a verdict to commit is carried out every node that has
// the record is made to *claim* it: from then on it takes an abort from recovery alone. A node that aborted first says so, and then the verdict is abort.
internal sealed partial class DatasetGrain
{
    /// <summary>Chunks of one slice: a bound on what one call asks nodes to report, a few hundred KiB, and as many as fit one message of the map.</summary>
    private const int RecoverSlice = ChunkMapPage.MaxEntries;

    // Where the next slice begins, so that chunks that wait do not keep others from being looked at. Written by MaintainAsync only.
    private uint _cursor;

    public async Task<DatasetHealth> MaintainAsync()
    {
        if (!Exists || HasWork)
            await EnsureCurrentAsync();
        if (!Exists)
            return new DatasetHealth();
        await ConfirmAsync();
        if (await GoneAsync(CancellationToken.None) is { Length: > 0 } gone)
        {
            await FenceAsync(gone);
            return Health(workLeft: true);
        }
        bool progress = await SettleDeadAsync() || await RecoverSliceAsync() || await PromoteSliceAsync() || await RestoreSliceAsync();
        if (!progress)
            await CheckStoredAsync();
        return Health(progress);
    }

    private bool HasWork => state.State.Unsettled.Count > 0 || _unconfirmed.Count > 0
        || _map.Counts.Recovering > _map.Counts.Waiting || _map.Counts.Joining > 0 || _map.Counts.Missing(Description.Degree) > 0;

    /// <summary>Decides what dead commit nodes left behind. Needed even when they held no chunk: their transactions keep pages locked.</summary>
    private async Task<bool> SettleDeadAsync()
    {
        DeadLife[] dead = [.. state.State.Unsettled];
        if (dead.Length == 0)
            return false;
        Settlement settlement = await SettleAsync(transaction => dead.Any(life => life.Began(transaction.Id)));
        if (settlement.Undecided > 0)
            return false;
        await ChangeAsync([], next => next.Unsettled.RemoveAll(dead.Contains));
        return true;
    }

    private async Task<bool> RecoverSliceAsync()
    {
        if (_map.Counts.Recovering == _map.Counts.Waiting)
            return false;
        ChunkEntry[] recovering = [.. _map.Assigned.Where(entry => entry.Phase == ChunkPhase.Recovering && !entry.Owner.IsNone)];
        using System.Diagnostics.Activity? activity = HotpotDiagnostics.Activities.StartActivity("hotpot.recover");
        ChunkEntry[] slice =
        [
            .. recovering.Where(entry => entry.Chunk.Value >= _cursor).Concat(recovering.Where(entry => entry.Chunk.Value < _cursor)).Take(RecoverSlice),
        ];
        _cursor = slice[^1].Chunk.Value + 1;

        HashSet<ChunkIndex> chunks = [.. slice.Select(entry => entry.Chunk)];
        Settlement settlement = await SettleAsync(transaction => transaction.Touches(Id, chunks));
        CrashPoint.Hit(CrashPoint.AfterSettle);
        ChunkEntry[] settled = [.. slice.Where(entry => !settlement.Blocked.Contains(entry.Chunk))];
        Dictionary<ChunkIndex, OwnerChoice> choices = await ChooseOwnersAsync(settled);
        await LevelAsync(choices);
        ChunkEntry[] active = [.. settled.Where(entry => !choices[entry.Chunk].MustWait).Select(entry => ConfigurationDecision.Activate(entry, choices[entry.Chunk].Owner))];
        activity?.SetTag("chunks", active.Length);
        if (active.Length == 0)
            return false;
        await ChangeAsync(active);
        LogRecovered(Description.Name, active.Length, recovering.Length - active.Length);
        return true;
    }

    private async Task<Dictionary<ChunkIndex, OwnerChoice>> ChooseOwnersAsync(ChunkEntry[] entries)
    {
        Dictionary<ChunkIndex, Dictionary<NodeId, ChunkState?>> reports = entries.ToDictionary(entry => entry.Chunk, _ => new Dictionary<NodeId, ChunkState?>());
        var byNode = entries.SelectMany(entry => ConfigurationDecision.Counted(entry).Select(node => (node, entry.Chunk))).GroupBy(pair => pair.node, pair => pair.Chunk);
        foreach (IGrouping<NodeId, ChunkIndex> group in byNode)
        {
            ChunkIndex[] asked = [.. group];
            PackedStates states = await GrainFactory.NodeGrain(group.Key).GetChunkStatesAsync(Id, PackedChunks.Of(asked));
            Dictionary<ChunkIndex, ChunkState> held = states.Unpack().Where(chunk => chunk.Held).ToDictionary(chunk => chunk.Chunk);
            foreach (ChunkIndex chunk in asked)
                reports[chunk][group.Key] = held.TryGetValue(chunk, out ChunkState report) ? report : null;
        }
        return entries.ToDictionary(entry => entry.Chunk, entry => RecoveryDecision.ChooseOwner(entry, reports[entry.Chunk]));
    }

    private async Task LevelAsync(Dictionary<ChunkIndex, OwnerChoice> choices)
    {
        var copies = choices.SelectMany(choice => choice.Value.Behind.Select(behind => (behind, choice.Value.Owner, choice.Key)))
            .GroupBy(copy => (copy.behind, copy.Owner), copy => copy.Key);
        foreach (var group in copies)
            await GrainFactory.NodeGrain(group.Key.behind).SyncChunksAsync(Id, [.. group], group.Key.Owner);
    }

    /// <summary>An undecided transaction, as all members together report it.</summary>
    private sealed record PendingTransaction(TransactionId Id, HashSet<(DatasetId Dataset, ChunkIndex Chunk)> Parts, HashSet<NodeId> PendingOn)
    {
        public bool Touches(DatasetId dataset, IReadOnlySet<ChunkIndex> chunks) =>
            Parts.Any(part => part.Dataset == dataset && chunks.Contains(part.Chunk));
    }

    /// <param name="Undecided">How many relevant transactions must wait for a node.</param>
    /// <param name="Blocked">The chunks of this dataset that they touch.</param>
    private sealed record Settlement(int Undecided, HashSet<ChunkIndex> Blocked);

    private async Task<Settlement> SettleAsync(Predicate<PendingTransaction> isRelevant)
    {
        Dictionary<TransactionId, PendingTransaction> pending = await GetPendingAsync();
        Settlement settlement = new(0, []);
        foreach (PendingTransaction transaction in pending.Values.Where(transaction => isRelevant(transaction)).OrderBy(transaction => transaction.Id))
        {
            Verdict verdict = await DecideAsync(transaction);
            if (verdict == Verdict.Wait)
            {
                settlement = settlement with { Undecided = settlement.Undecided + 1 };
                settlement.Blocked.UnionWith(transaction.Parts.Where(part => part.Dataset == Id).Select(part => part.Chunk));
                continue;
            }
            await Task.WhenAll(transaction.PendingOn.Select(node => GrainFactory.NodeGrain(node).SettleAsync(transaction.Id, verdict == Verdict.Commit)));
            LogSettled(transaction.Id, verdict, transaction.Parts.Count);
        }
        return settlement;
    }

    private async Task<Dictionary<TransactionId, PendingTransaction>> GetPendingAsync()
    {
        Dictionary<TransactionId, PendingTransaction> pending = [];
        foreach (MemberRecord member in Members)
        {
            foreach (TransactionParticipant participant in await GrainFactory.NodeGrain(member.Node).GetPendingAsync())
            {
                if (!pending.TryGetValue(participant.Transaction, out PendingTransaction? transaction))
                    pending[participant.Transaction] = transaction = new PendingTransaction(participant.Transaction, [], []);
                transaction.Parts.Add((participant.Dataset, participant.Chunk));
                transaction.PendingOn.Add(member.Node);
            }
        }
        return pending;
    }

    private async Task<Verdict> DecideAsync(PendingTransaction transaction)
    {
        Dictionary<(DatasetId, ChunkIndex), NodeId[]> replicas = [];
        foreach ((DatasetId Dataset, ChunkIndex Chunk) part in transaction.Parts)
            replicas[part] = await CountedReplicasAsync(part);
        Verdict verdict = RecoveryDecision.Settle(await AskAllAsync(transaction, replicas, OutcomeQuestion.Look));
        // Between two questions a record may have arrived, or have been aborted, after all. An answer to the question that makes the verdict binding counts.
        while (verdict != Verdict.Wait)
        {
            Verdict asked = verdict;
            verdict = RecoveryDecision.Settle(
                await AskAllAsync(transaction, replicas, asked == Verdict.Commit ? OutcomeQuestion.Claim : OutcomeQuestion.Refuse));
            if (verdict == asked)
                break;
        }
        return verdict;
    }

    /// <summary>What became of each part. Nodes that are no replicas (any more) but have the record are heard as witnesses of its end.</summary>
    private async Task<PartOutcome[]> AskAllAsync(
        PendingTransaction transaction, Dictionary<(DatasetId Dataset, ChunkIndex Chunk), NodeId[]> replicas, OutcomeQuestion question)
    {
        List<PartOutcome> outcomes = [];
        foreach (((DatasetId Dataset, ChunkIndex Chunk) part, NodeId[] counted) in replicas)
        {
            TransactionOutcome[] answers = await AskAsync(transaction.Id, part, counted, question);
            NodeId[] others = [.. transaction.PendingOn.Except(counted)];
            TransactionOutcome[] witnessed = await AskAsync(
                transaction.Id, part, others, question == OutcomeQuestion.Claim ? OutcomeQuestion.Claim : OutcomeQuestion.Look);
            outcomes.Add(RecoveryDecision.Combine(
                [.. answers, .. witnessed.Where(outcome => outcome is TransactionOutcome.Committed or TransactionOutcome.Aborted)]));
        }
        return [.. outcomes];
    }

    private async Task<TransactionOutcome[]> AskAsync(
        TransactionId transaction, (DatasetId Dataset, ChunkIndex Chunk) part, NodeId[] replicas, OutcomeQuestion question) =>
        await Task.WhenAll(replicas.Select(node => GrainFactory.NodeGrain(node).GetOutcomeAsync(transaction, part.Dataset, part.Chunk, question)));

    /// <summary>Empty when the chunk waits for a node. A dataset that is gone has no say: its part counts as refused by nobody.</summary>
    private async Task<NodeId[]> CountedReplicasAsync((DatasetId Dataset, ChunkIndex Chunk) part)
    {
        ChunkEntry? entry = part.Dataset == Id
            ? _map[part.Chunk]
            : (await GrainFactory.DatasetGrain(part.Dataset).GetEntriesAsync([part.Chunk])).FirstOrDefault();
        return entry is null || entry.Owner.IsNone ? [] : ConfigurationDecision.Counted(entry);
    }

    [LoggerMessage(LogLevel.Information, "Dataset '{Dataset}' serves {Chunks} chunks again; {Left} are still recovering.")]
    private partial void LogRecovered(string dataset, int chunks, int left);

    [LoggerMessage(LogLevel.Information, "Transaction {Transaction} with {Parts} chunks was settled: {Verdict}.")]
    private partial void LogSettled(TransactionId transaction, Verdict verdict, int parts);
}
