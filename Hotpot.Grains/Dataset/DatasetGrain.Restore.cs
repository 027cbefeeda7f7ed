using Microsoft.Extensions.Logging;

namespace Hotpot.Grains.Dataset;

// Restoring the degree, in the background and in bounded slices, so that commits that need the grain get their turn in between.
//
// A chunk short of replicas gets new ones as joining: they receive every commit from then on but do not count. Then each copies the chunk from its owner, and
// its joining bit is cleared, at the same epoch. Commits go on meanwhile: one that meets the new epoch of the first step is told so and repeats.
internal sealed partial class DatasetGrain
{
    /// <summary>Bytes that one slice copies: at 1 GB/s a turn of some 60 ms.</summary>
    private const long PromoteSliceBytes = 64 << 20;

    private const int RestoreSlice = 4096;

    private async Task<bool> PromoteSliceAsync()
    {
        if (_map.Counts.Joining == 0)
            return false;
        int slice = (int)Math.Clamp(PromoteSliceBytes >> Description.ChunkLog2, 1, RecoverSlice);
        ChunkEntry[] joining = [.. _map.Assigned.Where(entry => entry.Phase == ChunkPhase.Active && entry.JoiningMask != 0).Take(slice)];
        if (joining.Length == 0)
            return false;
        await SettleLeftoversAsync(joining);
        var copies = joining.SelectMany(entry => ConfigurationDecision.Joining(entry).Select(node => (node, entry.Owner, entry.Chunk)))
            .GroupBy(copy => (copy.node, copy.Owner), copy => copy.Chunk);
        long pages = 0;
        foreach (var group in copies)
            pages += await GrainFactory.NodeGrain(group.Key.node).SyncChunksAsync(Id, [.. group], group.Key.Owner);
        await ChangeAsync([.. joining.Select(entry => ConfigurationDecision.Joining(entry).Aggregate(entry, PromoteOne))]);
        LogPromoted(Description.Name, joining.Length, pages);
        return true;

        // Several at once make one new entry.
        static ChunkEntry PromoteOne(ChunkEntry entry, NodeId node) => ConfigurationDecision.Promote(entry, node)!;
    }

    /// <summary>
    /// A node that returns may still hold transactions as prepared that were decided without it. Copying a chunk drops them there, whole; so one that also touches
    /// a chunk for which the node counts is settled first. Transactions under way are pending at the owner as well and are left alone.
    /// </summary>
    private async Task SettleLeftoversAsync(ChunkEntry[] joining)
    {
        Dictionary<TransactionId, PendingTransaction> pending = await GetPendingAsync();
        HashSet<TransactionId> leftovers = [];
        foreach (PendingTransaction transaction in pending.Values)
        {
            foreach (NodeId node in transaction.PendingOn)
            {
                if (IsLeftover(transaction, node) && await CountsForAsync(transaction, node))
                    leftovers.Add(transaction.Id);
            }
        }
        if (leftovers.Count > 0)
            await SettleAsync(transaction => leftovers.Contains(transaction.Id));

        bool IsLeftover(PendingTransaction transaction, NodeId node) => joining.Any(entry =>
            entry.IsJoining(node) && transaction.Parts.Contains((Id, entry.Chunk)) && !transaction.PendingOn.Contains(entry.Owner));
    }

    /// <summary>The node is a counted replica of some chunk of the transaction.</summary>
    private async Task<bool> CountsForAsync(PendingTransaction transaction, NodeId node)
    {
        foreach ((DatasetId Dataset, ChunkIndex Chunk) part in transaction.Parts)
        {
            if ((await CountedReplicasAsync(part)).Contains(node))
                return true;
        }
        return false;
    }

    private async Task<bool> RestoreSliceAsync()
    {
        NodeId[] candidates = [.. Usable()];
        // Every entry counts as many replicas as it can have now: there is nothing to look for.
        if (_map.Counts.Missing(Math.Min(Description.Degree, candidates.Length)) == 0)
            return false;
        ChunkEntry[] restored =
        [
            .. _map.Assigned.Select(entry => ConfigurationDecision.Restore(entry, Id, Description.Degree, candidates)).OfType<ChunkEntry>().Take(RestoreSlice),
        ];
        if (restored.Length == 0)
            return false;
        await ChangeAsync(restored);
        return true;
    }

    [LoggerMessage(LogLevel.Information, "Dataset '{Dataset}' has new replicas for {Chunks} chunks ({Pages} pages copied).")]
    private partial void LogPromoted(string dataset, int chunks, long pages);
}
