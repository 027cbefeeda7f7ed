namespace Hotpot.Bench.Harness;

/// <summary>One short turn of one side: it is measured in a node's process and told to the orchestrator.</summary>
[GenerateSerializer]
[Immutable]
[Alias("hotpot.bench.Turn")]
public sealed record Turn
{
    /// <summary>Microseconds of each timed operation; empty where only the rate is measured.</summary>
    [Id(0)] public required double[] Us { get; init; }

    [Id(1)] public required long Operations { get; init; }

    /// <summary>Wall time of the whole turn.</summary>
    [Id(2)] public required double Seconds { get; init; }

    /// <summary>Further figures, each with its unit in its name.</summary>
    [Id(3)] public Dictionary<string, double> More { get; init; } = [];
}
