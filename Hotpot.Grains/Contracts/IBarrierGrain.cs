namespace Hotpot.Grains;

/// <summary>
/// A named barrier: its participants wait for each other, again and again. A participant whose node dies while it waits breaks the
/// generation: the others get <see cref="BarrierBrokenException"/> instead of waiting for ever.
/// </summary>
[Alias("hotpot.IBarrierGrain")]
public interface IBarrierGrain : IGrainWithStringKey
{
    /// <summary>
    /// Returns the generation that was completed, counted from 1, when all participants of it have arrived. Throws
    /// <see cref="BarrierBrokenException"/> or <see cref="HotpotTimeoutException"/>.
    /// </summary>
    [Alias("Arrive")]
    [ResponseTimeout(GrainTimeouts.CallersOwn)]
    Task<long> ArriveAsync(BarrierArrival arrival, CancellationToken cancellationToken = default);
}

[GenerateSerializer]
[Immutable]
[Alias("hotpot.BarrierArrival")]
public sealed record BarrierArrival
{
    /// <summary>How many must arrive; the same number in every arrival of a generation.</summary>
    [Id(0)] public required int Participants { get; init; }

    /// <summary>Chosen by the participant, once; arriving twice in one generation under one id is the same arrival.</summary>
    [Id(1)] public required Guid Participant { get; init; }

    /// <summary>Where the participant runs; <see cref="NodeId.None"/> for a client without a silo, whose death is not noticed.</summary>
    [Id(2)] public NodeId Node { get; init; }

    [Id(3)] public required TimeSpan Timeout { get; init; }
}
