using System.Diagnostics;
using Hotpot.Clients;

namespace Hotpot.Demo.Measuring;

/// <summary>What a small commit costs, from the call to the moment when it is durable on every replica.</summary>
internal static class CommitMeasurement
{
    private const int CommitBytes = 1024;

    // The first commits assign the chunk and open connections; they are not what a running application sees.
    private const int WarmUp = 20;

    public static async Task<double> MedianUsAsync(Dataset dataset, Mapping mapping, int commits)
    {
        var ticks = new long[commits];
        for (var commit = -WarmUp; commit < commits; commit++)
        {
            var range = new ByteRange((long)(commit + WarmUp) * CommitBytes % dataset.Size, CommitBytes);
            Store(mapping, range, commit);
            var before = Stopwatch.GetTimestamp();
            await dataset.CommitAsync(range).ConfigureAwait(false);
            if (commit >= 0)
                ticks[commit] = Stopwatch.GetTimestamp() - before;
        }

        return Median.MicrosecondsOf(ticks);
    }

    /// <summary>Never the bytes that were there: a commit of unchanged bytes would be none.</summary>
    private static void Store(Mapping mapping, ByteRange range, int commit) =>
        mapping.GetSpan(range.Offset, range.Length).Fill((byte)((Math.Abs(commit) % 250) + 1));
}
