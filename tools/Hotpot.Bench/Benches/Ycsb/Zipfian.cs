namespace Hotpot.Bench.Benches.Ycsb;

/// <summary>
/// Numbers from zero up, small ones often: the generator of YCSB (Gray et al., "Quickly generating billion-record synthetic databases") with its constant of 0.99.
/// Immutable; the random numbers are the caller's.
/// </summary>
internal sealed class Zipfian
{
    private const double Theta = 0.99;

    private readonly double _zeta;
    private readonly double _eta;

    public Zipfian(long items)
    {
        Items = items;
        double zeta = 0;
        for (long i = 1; i <= items; i++)
            zeta += 1 / Math.Pow(i, Theta);
        _zeta = zeta;
        _eta = (1 - Math.Pow(2.0 / items, 1 - Theta)) / (1 - (1 + Math.Pow(0.5, Theta)) / zeta);
    }

    public long Items { get; }

    public long Next(Random random)
    {
        var u = random.NextDouble();
        var scaled = u * _zeta;
        if (scaled < 1)
            return 0;
        if (scaled < 1 + Math.Pow(0.5, Theta))
            return 1;
        return Math.Min((long)(Items * Math.Pow(_eta * u - _eta + 1, 1 / (1 - Theta))), Items - 1);
    }
}
