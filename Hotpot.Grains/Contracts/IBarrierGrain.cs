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

    /// <summary>
    /// Several participants of one node arrive at once, in the order given. A generation takes as many as it still lacks, and the call returns when it is complete; the
    /// others have not arrived and must come again. Throws as <see cref="ArriveAsync"/> does, and then none of them waits any more.
    /// </summary>
    [Alias("ArriveTogether")]
    [ResponseTimeout(GrainTimeouts.CallersOwn)]
    Task<BarrierPassage> ArriveTogetherAsync(BarrierParty party, CancellationToken cancellationToken = default);
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

[GenerateSerializer]
[Immutable]
[Alias("hotpot.BarrierParty")]
public sealed record BarrierParty
{
    /// <summary>As in <see cref="BarrierArrival"/>, of every one of them.</summary>
    [Id(0)] public required int Participants { get; init; }

    /// <summary>Who arrives: one at least.</summary>
    [Id(1)] public required Guid[] Arrivals { get; init; }

    [Id(2)] public NodeId Node { get; init; }

    [Id(3)] public required TimeSpan Timeout { get; init; }
}

[GenerateSerializer]
[Immutable]
[Alias("hotpot.BarrierPassage")]
public readonly record struct BarrierPassage
{
    /// <summary>The generation that was completed, counted from 1.</summary>
    [Id(0)] public required long Generation { get; init; }

    /// <summary>How many of the party, from its first on, it took: one at least.</summary>
    [Id(1)] public required int Taken { get; init; }
}
