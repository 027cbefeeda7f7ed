namespace Hotpot.Clients;

/// <summary>
/// One participant of a named barrier. It is reusable: each generation begins when the one before it is complete, and a
/// participant that runs ahead cannot be counted twice in one generation.
/// </summary>
public sealed class DistributedBarrier
{
    public static readonly TimeSpan DefaultTimeout = TimeSpan.FromMinutes(1);

    private readonly Guid _participant = Guid.NewGuid();

    internal DistributedBarrier(BarrierGate gate, string name)
    {
        Gate = gate;
        Name = name;
    }

    public string Name { get; }

    public int Participants => Gate.Participants;

    internal BarrierGate Gate { get; }

    /// <summary>Waits until all participants of this generation have arrived, and returns its number, counted from 1.</summary>
    /// <exception cref="BarrierBrokenException">A participant died, or the participants do not agree on their number.</exception>
    /// <exception cref="HotpotTimeoutException">Not all arrived in time.</exception>
    public Task<long> ArriveAndWaitAsync(TimeSpan? timeout = null, CancellationToken cancellationToken = default) =>
        Gate.ArriveAsync(_participant, timeout ?? DefaultTimeout, cancellationToken);
}
