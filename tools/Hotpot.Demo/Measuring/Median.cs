using System.Diagnostics;

namespace Hotpot.Demo.Measuring;

/// <summary>The middle of several measurements: unlike the mean, it does not mind the few that the machine's scheduler spoilt.</summary>
internal static class Median
{
    public static double MicrosecondsOf(ReadOnlySpan<long> stopwatchTicks)
    {
        if (stopwatchTicks.IsEmpty)
            throw new ArgumentException("There is no median of nothing.", nameof(stopwatchTicks));
        var sorted = stopwatchTicks.ToArray();
        Array.Sort(sorted);
        return sorted[sorted.Length / 2] * 1e6 / Stopwatch.Frequency;
    }
}
