using Hotpot.Grains.Node;
using Microsoft.Extensions.Logging;

namespace Hotpot.Grains.Acquire;

// Taking over the grants of an earlier owner.
//
// Problem: grants live in the memory of the owner and of the holder. When the owner dies or hands a chunk over, the new one knows none of them, and would grant to
// others what a holder still uses.
//
// Scheme: the holders are the record. Before this node grants anything of a chunk that somebody owned before, or lets a commit to it pass, it asks every node
// that lives for the grants it holds there, in use or kept, and enters them. Until then requests get BusyException and are repeated.
//
// Why nobody slips through:
//   - a node that does not answer is asked until it does or is dead; the dead hold nothing, and a claim of a life that was declared dead is not entered;
//   - an answer of the earlier owner that is still under way to its holder is void if the census was taken there before it arrived (Acquirer.ListHeld);
//   - the earlier owner grants nothing more: its map has the new epoch, since a chunk is ACTIVE nowhere before every member has it as RECOVERING.
// Whoever released in the meantime leaves a grant here that nobody holds; it is recalled when somebody wants it, and then it is free.
//
// A chunk that was assigned to this node as its first owner needs no census, and one that this life of the node has owned all the time, only once.
// Two claims that conflict come from a life that does not know of its own death yet: nothing is entered, and the census is taken again.
internal sealed partial class OwnedGrants
{
    private static readonly TimeSpan CensusRetry = TimeSpan.FromMilliseconds(100);

    /// <summary>A question names at most half as many ranges, which is 32 KiB.</summary>
    private const int CensusChunks = 4096;

    // The tenure for which a chunk's grants are known here. Written under _lock.
    private readonly Dictionary<ChunkIndex, ulong> _counted = [];

    // The latest life of each node that is known to be dead. Written under _lock.
    private readonly Dictionary<NodeId, Incarnation> _dead = [];

    // Written under _lock; at most one census at a time.
    private Task _census = Task.CompletedTask;

    /// <summary>
    /// Under _lock: this node owns every chunk of the ranges, serves it, and knows its grants. Prunes, and returns the stamp of the map for which all this is so:
    /// what is entered with it is void as soon as the map that it was checked by is.
    /// </summary>
    private ulong CheckServed(IReadOnlyList<ByteRange> ranges)
    {
        // The map moves without this lock.
        do
        {
            Prune();
            CheckServedNow(ranges);
        }
        while (map.Stamp != _prunedAt);
        return _prunedAt;
    }

    private void CheckServedNow(IReadOnlyList<ByteRange> ranges)
    {
        foreach (ChunkIndex chunk in ranges.SelectMany(dataset.ChunksOf))
        {
            ChunkEntry? entry = map.Find(chunk);
            if (entry?.Owner != _self)
                throw new NotOwnerException($"Node {_self} does not own chunk {chunk} of dataset '{dataset.Name}' now; fetch the new map and ask its owner.");
            if (entry.Phase != ChunkPhase.Active)
                throw new BusyException($"Chunk {chunk} of dataset '{dataset.Name}' is recovering; try again shortly.");
            if (IsCounted(chunk))
                continue;
            if (_census.IsCompleted)
                _census = TakeCensusAsync();
            throw new BusyException($"Node {_self} is learning who holds grants of chunk {chunk} of dataset '{dataset.Name}'; try again shortly.");
        }
    }

    private bool IsCounted(ChunkIndex chunk)
    {
        (ulong since, bool isFirst) = map.Tenure(chunk);
        return isFirst || (_counted.TryGetValue(chunk, out ulong counted) && counted == since);
    }

    private void CheckAlive(GrantHolder holder)
    {
        if (IsDead(holder))
            throw new NodeUnavailableException($"Node {holder} has been declared dead; its requests are void.");
    }

    private bool IsDead(GrantHolder holder) => _dead.TryGetValue(holder.Node, out Incarnation dead) && holder.Incarnation.CompareTo(dead) <= 0;

    // Detached: it ends by itself, and whatever keeps it from ending well is met again by the next request.
    private async Task TakeCensusAsync()
    {
        await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
        try
        {
            // All that is to be counted, not only what was asked for: the others would come one by one after the same fail-over.
            foreach ((ChunkIndex Chunk, ulong Since)[] chunks in ToCount().Chunk(CensusChunks))
            {
                List<ByteRange> ranges = dataset.RangesOf(chunks.Select(chunk => chunk.Chunk));
                GrantInfo[] claims = await holders.ListHeldAsync(dataset.Id, [.. ranges], lifetime.Ending);
                if (!Enter(chunks, claims))
                {
                    LogClaimsConflict(dataset.Name);
                    await Task.Delay(CensusRetry, time, lifetime.Ending);
                    return;
                }
                LogCounted(dataset.Name, chunks.Length, claims.Length);
            }
        }
        catch (OperationCanceledException error) when (lifetime.Ending.IsCancellationRequested)
        {
            LogEnded(error, dataset.Name);
        }
        catch (Exception error)
        {
            LogCensusFailed(error, dataset.Name);
        }
    }

    private List<(ChunkIndex Chunk, ulong Since)> ToCount()
    {
        List<(ChunkIndex Chunk, ulong Since)> owned = map.TakenOver(_self);
        lock (_lock)
            owned.RemoveAll(chunk => _counted.TryGetValue(chunk.Chunk, out ulong counted) && counted == chunk.Since);
        return owned;
    }

    /// <summary>Enters the claims for the chunks whose tenure still lasts. False when two of them conflict, and nothing was entered.</summary>
    private bool Enter((ChunkIndex Chunk, ulong Since)[] chunks, GrantInfo[] claims)
    {
        lock (_lock)
        {
            Prune();
            List<ByteRange> ranges = dataset.RangesOf(chunks.Where(chunk => map.Find(chunk.Chunk)?.Owner == _self && map.Tenure(chunk.Chunk).Since == chunk.Since)
                .Select(chunk => chunk.Chunk));
            List<RangeLockTable.Grant> entered = [];
            foreach (GrantInfo claim in claims.Where(claim => !IsDead(claim.Holder)))
            {
                foreach (ByteRange part in ranges.Select(range => range.Intersect(claim.Range)).Where(part => !part.IsEmpty))
                {
                    RangeLockTable.Grant grant = new(claim.Holder, part, claim.Mode, _prunedAt, claim.Ticket);
                    if (!_table.TryImport(grant))
                    {
                        foreach (RangeLockTable.Grant earlier in entered)
                            _table.Release(earlier);
                        return false;
                    }
                    entered.Add(grant);
                }
            }
            foreach ((ChunkIndex chunk, ulong since) in chunks)
                _counted[chunk] = since;
            return true;
        }
    }

    [LoggerMessage(LogLevel.Information, "The grants of {Chunks} chunks of dataset '{Dataset}' were taken over: {Grants}.")]
    private partial void LogCounted(string dataset, int chunks, int grants);

    [LoggerMessage(LogLevel.Warning, "Two nodes claim the same pages of dataset '{Dataset}'; they are asked again, since one must be dead.")]
    private partial void LogClaimsConflict(string dataset);

    [LoggerMessage(LogLevel.Warning, "The grants of dataset '{Dataset}' could not be taken over; the next request tries again.")]
    private partial void LogCensusFailed(Exception error, string dataset);
}
