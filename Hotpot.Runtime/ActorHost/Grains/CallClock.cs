using System.Collections.Concurrent;
using System.Diagnostics;

namespace Hotpot.Actors;

/// <summary>
/// Ends calls whose time is over. One timer looks at all calls that wait; with 10,000 of them a look costs under a
/// millisecond, and a timer per call would cost every call more than its send.
/// </summary>
internal sealed class CallClock : IDisposable
{
    private static readonly TimeSpan Tick = TimeSpan.FromMilliseconds(50);

    private readonly ConcurrentDictionary<Invocation, byte> _calls = new();
    private readonly Timer _timer;

    public CallClock() => _timer = new Timer(static clock => ((CallClock)clock!).Look(), this, Tick, Tick);

    public static long DeadlineAfter(TimeSpan time) => Stopwatch.GetTimestamp() + (long)(time.TotalSeconds * Stopwatch.Frequency);

    public static TimeSpan Until(long deadline) => TimeSpan.FromSeconds((deadline - Stopwatch.GetTimestamp()) / (double)Stopwatch.Frequency);

    public void Add(Invocation call) => _calls[call] = 0;

    public void Remove(Invocation call) => _calls.TryRemove(call, out _);

    /// <summary>Ends all calls: the host stops, or is fenced.</summary>
    public void FailAll(string reason)
    {
        foreach (var (call, _) in _calls)
            call.Fail(new SiloUnavailableException(reason));
    }

    public void Dispose()
    {
        _timer.Dispose();
        FailAll("The actor host of this process has stopped.");
    }

    private void Look()
    {
        if (_calls.IsEmpty)
            return;
        var now = Stopwatch.GetTimestamp();
        foreach (var (call, _) in _calls)
        {
            if (now >= call.Deadline)
                call.Expire();
        }
    }
}
