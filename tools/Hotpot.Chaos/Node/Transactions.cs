using System.Collections.Concurrent;
using Hotpot.Clients;
using Hotpot.Histories;

namespace Hotpot.Chaos.Node;

/// <summary>Runs one operation on objects of this node: alone in this process, and with nothing of it left in the mapping when it did not succeed.</summary>
internal sealed class Transactions(MappedDatasets datasets, KeyLocks locks)
{
    /// <summary>Longer than a death takes to be noticed and a chunk to be promoted, shorter than a call may take.</summary>
    public static readonly TimeSpan CommitTimeout = TimeSpan.FromSeconds(15);

    private static readonly TimeSpan s_fetchTimeout = TimeSpan.FromSeconds(10);

    // Pages with stores of a failed operation that could not be discarded. Added and removed under the lock of the page.
    private readonly ConcurrentDictionary<(string Dataset, long Offset), bool> _dirty = new();

    /// <param name="body">Loads and stores. Null: it is given up, with the reason in the reply it made.</param>
    public async Task<Reply> RunAsync(string dataset, long[] pages, Func<Mapping, Reply> body, bool failOnConflict = true)
    {
        var mapped = await datasets.OpenAsync(dataset);
        using var alone = await locks.TakeAsync(dataset, pages);
        return await CommitAsync(mapped, pages, body, failOnConflict);
    }

    /// <summary>The same while the page is granted to this node.</summary>
    public async Task<Reply> RunGrantedAsync(string dataset, long page, AcquireMode mode, Func<Mapping, Reply> body)
    {
        var mapped = await datasets.OpenAsync(dataset);
        using var alone = await locks.TakeAsync(dataset, [page]);
        try
        {
            await using var grant = await mapped.Dataset.AcquireAsync(new ByteRange(page, Limits.PageBytes), s_fetchTimeout, mode);
            return mode == AcquireMode.Exclusive ? await CommitAsync(mapped, [page], body, failOnConflict: false) : await LoadAsync(mapped, [page], body);
        }
        catch (HotpotException failure)
        {
            return Reply.Failed(Explain(failure));
        }
    }

    /// <summary>Loads only.</summary>
    public async Task<Reply> LoadAsync(string dataset, long page, Func<Mapping, Reply> body)
    {
        var mapped = await datasets.OpenAsync(dataset);
        using var alone = await locks.TakeAsync(dataset, [page]);
        return await LoadAsync(mapped, [page], body);
    }

    /// <summary>Stores to a part of a page that other clients of this process store to at the same time. What is not committed stays there for the next attempt.</summary>
    public async Task<Reply> RunSharedAsync(string dataset, ByteRange range, Action<Mapping> body)
    {
        var mapped = await datasets.OpenAsync(dataset);
        using var alone = await locks.TakeAsync(dataset, [range.Offset]);
        try
        {
            await PrepareAsync(mapped, [range.Offset / Limits.PageBytes * Limits.PageBytes]);
            await Task.Run(() => body(mapped.Mapping));
        }
        catch (HotpotException failure)
        {
            return Reply.Failed(Explain(failure));
        }

        return await TryCommitAsync(mapped, [range], Reply.Ok([]), failOnConflict: false);
    }

    private static async Task<Reply> LoadAsync(MappedDataset mapped, long[] pages, Func<Mapping, Reply> body)
    {
        try
        {
            await FetchAsync(mapped, pages);
            return await Task.Run(() => body(mapped.Mapping));
        }
        catch (HotpotException failure)
        {
            return Reply.Failed(Explain(failure));
        }
    }

    private async Task<Reply> CommitAsync(MappedDataset mapped, long[] pages, Func<Mapping, Reply> body, bool failOnConflict)
    {
        Reply reply;
        try
        {
            await PrepareAsync(mapped, pages);
            reply = await Task.Run(() => body(mapped.Mapping));
        }
        catch (HotpotException failure)
        {
            reply = Reply.Failed(Explain(failure));
        }

        if (reply.Outcome == Outcome.Ok)
            reply = await TryCommitAsync(mapped, [.. pages.Select(page => new ByteRange(page, Limits.PageBytes))], reply, failOnConflict);
        if (reply.Outcome != Outcome.Ok)
            await DiscardAsync(mapped, pages);
        return reply;
    }

    /// <param name="success">The reply when it is committed.</param>
    private static async Task<Reply> TryCommitAsync(MappedDataset mapped, ByteRange[] ranges, Reply success, bool failOnConflict)
    {
        try
        {
            var result = await mapped.Dataset.CommitAsync(ranges, new CommitOptions { FailOnConflict = failOnConflict, MinDegree = 1, Timeout = CommitTimeout });
            return success with { Commit = $"{result.Owners} owners, {result.Attempts} attempts, degree {result.Degree}, {result.Bytes} bytes in {result.Pages} pages" };
        }
        catch (DegreeException failure) when (failure.Committed)
        {
            return success with { Commit = failure.Message };
        }
        catch (OutcomeUnknownException failure)
        {
            return new Reply { Outcome = Outcome.Unknown, Reason = Explain(failure) };
        }
        catch (HotpotException failure)
        {
            // All others promise that nothing has happened and never will.
            return Reply.Failed(Explain(failure));
        }
    }

    /// <summary>Nothing of an earlier failure is in the pages, and they are here: a load that nobody can serve would end this process.</summary>
    private async Task PrepareAsync(MappedDataset mapped, long[] pages)
    {
        foreach (var page in pages)
        {
            if (_dirty.ContainsKey((mapped.Dataset.Name, page)))
            {
                await mapped.Dataset.DiscardAsync(new ByteRange(page, Limits.PageBytes));
                _dirty.TryRemove((mapped.Dataset.Name, page), out _);
            }
        }

        await FetchAsync(mapped, pages);
    }

    private static async Task FetchAsync(MappedDataset mapped, long[] pages)
    {
        foreach (var page in pages)
            await mapped.Dataset.PrefetchAsync(new ByteRange(page, Limits.PageBytes), s_fetchTimeout);
    }

    private async Task DiscardAsync(MappedDataset mapped, long[] pages)
    {
        foreach (var page in pages)
            _dirty[(mapped.Dataset.Name, page)] = true;
        try
        {
            await PrepareDiscardAsync(mapped, pages);
        }
        catch (HotpotException failure)
        {
            // The pages stay marked, and whoever uses them next discards first.
            System.Diagnostics.Activity.Current?.AddException(failure);
        }
    }

    private async Task PrepareDiscardAsync(MappedDataset mapped, long[] pages)
    {
        await mapped.Dataset.DiscardAsync([.. pages.Select(page => new ByteRange(page, Limits.PageBytes))]);
        foreach (var page in pages)
            _dirty.TryRemove((mapped.Dataset.Name, page), out _);
    }

    private static string Explain(HotpotException failure) => $"{failure.GetType().Name}: {failure.Message}";
}
