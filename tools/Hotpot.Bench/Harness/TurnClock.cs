using System.Diagnostics;

namespace Hotpot.Bench.Harness;

/// <summary>Times the operations of one turn, one after the other. It allocates nothing between its making and <see cref="Done"/>.</summary>
internal sealed class TurnClock
{
    private const double LongestSeconds = 3600;

    private readonly double[] _us;
    private readonly long _started;
    private readonly long _end;
    private readonly long _allocated;

    // Written by the one caller.
    private int _count;
    private long _began;

    /// <param name="operations">Most operations of the turn.</param>
    /// <param name="limit">None begins later than this.</param>
    public TurnClock(int operations, TimeSpan limit)
    {
        _us = new double[operations];
        _allocated = GC.GetTotalAllocatedBytes();
        _started = Stopwatch.GetTimestamp();
        _end = _started + (long)(Math.Min(limit.TotalSeconds, LongestSeconds) * Stopwatch.Frequency);
    }

    /// <summary>Begins an operation; false when the turn is over.</summary>
    public bool Begin()
    {
        if (_count == _us.Length)
            return false;
        _began = Stopwatch.GetTimestamp();
        return _count == 0 || _began < _end;
    }

    public void End() => _us[_count++] = Samples.Microseconds(Stopwatch.GetTimestamp() - _began);

    /// <summary>Bytes that the whole process allocated, for each operation so far.</summary>
    public double AllocatedBytes => (GC.GetTotalAllocatedBytes() - _allocated) / (double)_count;

    public Turn Done(Dictionary<string, double>? more = null) => new()
    {
        Us = _us[.._count], Operations = _count, Seconds = Stopwatch.GetElapsedTime(_started).TotalSeconds, More = more ?? [],
    };
}
