namespace Hotpot.Grains.Dataset;

/// <summary>What a dataset grain stores. Only ever written whole, by that grain, under the storage's ETag.</summary>
[GenerateSerializer]
[Alias("hotpot.DatasetState")]
internal sealed class DatasetState
{
    /// <summary>Null: never initialised.</summary>
    [Id(0)] public DatasetDescription? Description { get; set; }

    /// <summary>See <see cref="ChunkMapCodec"/>; empty: nothing assigned.</summary>
    [Id(1)] public byte[] Map { get; set; } = [];

    [Id(2)] public List<MemberRecord> Members { get; set; } = [];

    /// <summary>Dead incarnations whose transactions have not all been settled.</summary>
    [Id(3)] public List<DeadLife> Unsettled { get; set; } = [];

    /// <summary>Removed; the record stays so that a late node cannot bring the dataset back.</summary>
    [Id(4)] public bool IsDropped { get; set; }

    public DatasetState Copy() => new()
    {
        Description = Description,
        Map = Map,
        Members = [.. Members],
        Unsettled = [.. Unsettled],
        IsDropped = IsDropped,
    };
}

internal enum MemberPhase
{
    /// <summary>Has the dataset open: every map change waits for it, and replicas may be placed on it.</summary>
    Present = 0,

    /// <summary>Still has the dataset open, but gets no new replicas.</summary>
    Leaving = 1,

    /// <summary>This incarnation is dead. The record stays, so that it cannot join again.</summary>
    Dead = 2,
}

[GenerateSerializer]
[Immutable]
[Alias("hotpot.MemberRecord")]
internal sealed record MemberRecord
{
    [Id(0)] public required NodeId Node { get; init; }

    [Id(1)] public required Incarnation Incarnation { get; init; }

    [Id(2)] public MemberPhase Phase { get; init; }
}

[GenerateSerializer]
[Immutable]
[Alias("hotpot.DeadLife")]
internal sealed record DeadLife
{
    [Id(0)] public required NodeId Node { get; init; }

    [Id(1)] public required Incarnation Incarnation { get; init; }

    public bool Began(TransactionId transaction) =>
        transaction.Node == Node && transaction.Incarnation.CompareTo(Incarnation) <= 0;
}
