namespace Hotpot.Bench.Benches.Commit;

/// <summary>
/// What both sides write: in each operation a few areas, each with other bytes than it had before, and each in a page of its own, out of a set that fits a cache.
/// </summary>
internal sealed class Records
{
    /// <summary>Areas in use: as many as pages of one MiB.</summary>
    public const int Slots = 256;

    private const int PoolBytes = 1 << 20;

    // Immutable after construction.
    private readonly byte[] _pool = new byte[PoolBytes];

    // Written by the one caller.
    private long _next;
    private int _shift;

    public Records(int areas, int areaBytes)
    {
        Areas = areas;
        AreaBytes = areaBytes;
        // The same on both sides and in every run.
        new Random(1).NextBytes(_pool);
    }

    public int Areas { get; }

    public int AreaBytes { get; }

    /// <summary>The slot of the next area.</summary>
    public int NextSlot() => (int)(_next++ % Slots);

    /// <summary>The bytes of the next area: random, at another place of the pool each time, so that a slot never gets what it holds.</summary>
    public ReadOnlySpan<byte> NextBytes()
    {
        _shift += 4099;
        if (_shift > PoolBytes - AreaBytes)
            _shift %= 4096;
        return _pool.AsSpan(_shift, AreaBytes);
    }
}
