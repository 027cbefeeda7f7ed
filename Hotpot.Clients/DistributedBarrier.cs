namespace Hotpot.Clients;

/// <summary>
/// One participant of a named barrier. It is reusable: each generation begins when the one before it is complete, and a
/// participant that runs ahead cannot be counted twice in one generation.
/// </summary>
public sealed class DistributedBarrier
{
    public static readonly TimeSpan DefaultTimeout = TimeSpan.FromMinutes(1);

    private readonly IBarrierGrain _grain;
    private readonly Guid _participant = Guid.NewGuid();
    private readonly NodeId _node;

    internal DistributedBarrier(IBarrierGrain grain, string name, int participants, NodeId node)
    {
        if (string.IsNullOrEmpty(name))
            throw new InvalidRequestException("A barrier's name must not be empty; give one that its participants share.");
        if (participants < 1)
            throw new InvalidRequestException($"A barrier of {participants} participants is not possible; give at least 1.");
        _grain = grain;
        _node = node;
        Name = name;
        Participants = participants;
    }

    public string Name { get; }

    public int Participants { get; }

    /// <summary>Waits until all participants of this generation have arrived, and returns its number, counted from 1.</summary>
    /// <exception cref="BarrierBrokenException">A participant died, or the participants do not agree on their number.</exception>
    /// <exception cref="HotpotTimeoutException">Not all arrived in time.</exception>
    public Task<long> ArriveAndWaitAsync(TimeSpan? timeout = null, CancellationToken cancellationToken = default) =>
        _grain.ArriveAsync(
            new BarrierArrival
            {
                Participants = Participants,
                Participant = _participant,
                Node = _node,
                Timeout = timeout ?? DefaultTimeout,
            },
            cancellationToken);
}
