using System.Diagnostics;

namespace Hotpot.Store.Index;

/// <summary>Between two attempts of a reader that met a commit half-way. Applying one takes microseconds; bytes that do not fit for seconds are damaged.</summary>
internal struct Patience
{
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(3);

    // Written by Wait, by the one reader that owns this.
    private SpinWait _spin;
    private long _started;

    public void Wait(string what)
    {
        if (_started == 0)
            _started = Stopwatch.GetTimestamp();
        else if (Stopwatch.GetElapsedTime(_started) > s_limit)
            throw new StoreCorruptException($"{what} does not fit its checksum and does not change either; restore the store from a copy.");
        // Yields, and never sleeps: whoever applies the commit may need this processor, but not for long.
        _spin.SpinOnce(sleep1Threshold: -1);
    }
}
