using System.Diagnostics;

namespace Hotpot.Bench.Harness;

/// <summary>The times of many operations, in microseconds.</summary>
internal sealed class Samples
{
    // Sorted by the constructor, and never written after it.
    private readonly double[] _sorted;

    public Samples(IEnumerable<double> microseconds)
    {
        _sorted = [.. microseconds];
        if (_sorted.Length == 0)
            throw new ArgumentException("There is no distribution of nothing.", nameof(microseconds));
        Array.Sort(_sorted);
        Mean = _sorted.Average();
    }

    public int Count => _sorted.Length;

    public double Mean { get; }

    public double Median => Percentile(50);

    /// <summary>The smallest sample that is not below <paramref name="percent"/> percent of all (nearest rank).</summary>
    public double Percentile(double percent) => _sorted[Math.Clamp((int)Math.Ceiling(percent / 100 * _sorted.Length) - 1, 0, _sorted.Length - 1)];

    public static double Microseconds(long stopwatchTicks) => stopwatchTicks * 1e6 / Stopwatch.Frequency;
}
