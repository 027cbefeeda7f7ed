namespace Hotpot.Silo;

/// <summary>Where the silo is between start and stop.</summary>
public enum SiloPhase
{
    /// <summary>The engine replays its log, or the node has not joined every dataset yet.</summary>
    Starting = 0,

    Ready = 1,

    /// <summary>Told to stop: it hands over its chunks and flushes.</summary>
    Draining = 2,

    Stopped = 3,

    /// <summary>It could not become ready; the log says why.</summary>
    Failed = 4,
}

/// <summary>The phase of this process's silo, as health checks see it.</summary>
internal sealed class SiloState
{
    private readonly Lock _lock = new();

    // Written under _lock, by MoveTo.
    private SiloPhase _phase = SiloPhase.Starting;

    public SiloPhase Phase
    {
        get
        {
            lock (_lock)
                return _phase;
        }
    }

    /// <summary>Phases only go forward; false when a later one has been reached already.</summary>
    public bool MoveTo(SiloPhase phase)
    {
        lock (_lock)
        {
            if (phase <= _phase)
                return false;
            _phase = phase;
            return true;
        }
    }
}
