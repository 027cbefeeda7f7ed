using Hotpot.Clients;

namespace Hotpot.Graph.Engine;

/// <summary>Commits to the dataset that holds the graph, and a barrier of the cluster.</summary>
public sealed class DatasetExchange(Dataset dataset, Mapping mapping, DistributedBarrier barrier, CommitOptions? options = null) : IExchange
{
    /// <summary>Below what one transaction may carry.</summary>
    public const long CommitBytesMax = 16 << 20;

    private static readonly TimeSpan s_barrierTimeout = TimeSpan.FromMinutes(5);

    public async Task PublishAsync(IReadOnlyList<MemoryRange> ranges)
    {
        List<ByteRange> together = [];
        long bytes = 0;
        foreach (var range in ranges.SelectMany(Pieces))
        {
            if (bytes + range.Length > CommitBytesMax)
                await CommitAsync().ConfigureAwait(false);
            together.Add(range);
            bytes += range.Length;
        }

        await CommitAsync().ConfigureAwait(false);

        async Task CommitAsync()
        {
            if (together.Count > 0)
                await dataset.CommitAsync(together, options).ConfigureAwait(false);
            together = [];
            bytes = 0;
        }
    }

    public Task MeetAsync() => barrier.ArriveAndWaitAsync(s_barrierTimeout);

    private IEnumerable<ByteRange> Pieces(MemoryRange range)
    {
        var begin = range.Length == 0 ? 0 : mapping.OffsetOf((ulong)range.Address);
        for (long done = 0; done < range.Length; done += CommitBytesMax)
            yield return new ByteRange(begin + done, Math.Min(CommitBytesMax, range.Length - done));
    }
}
