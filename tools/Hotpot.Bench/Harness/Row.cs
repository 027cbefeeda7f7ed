namespace Hotpot.Bench.Harness;

/// <summary>One line of a benchmark: what we did in what time, and what the peer did in the same call. Times are microseconds, rates are per second.</summary>
internal sealed record Row
{
    public required string Case { get; init; }

    /// <summary>"pinned": client and all servers, ours and theirs, on one core; "free": where the scheduler puts them.</summary>
    public required string Placement { get; init; }

    public required string Transport { get; init; }

    public required string Medium { get; init; }

    /// <summary>How many of our operations were timed.</summary>
    public required long N { get; init; }

    public double? P50Us { get; init; }

    public double? P99Us { get; init; }

    public double? MeanUs { get; init; }

    public double? OpsS { get; init; }

    /// <summary>Null when a case is stated without a peer.</summary>
    public string? Peer { get; init; }

    public double? PeerP50Us { get; init; }

    public double? PeerP99Us { get; init; }

    public double? PeerMeanUs { get; init; }

    public double? PeerOpsS { get; init; }

    /// <summary>Peer time / our time, or our rate / peer rate, of the medians: above 1 we are faster.</summary>
    public double? Ahead { get; init; }

    /// <summary>The smallest and the largest <see cref="Ahead"/> of the single turns.</summary>
    public double? AheadMin { get; init; }

    public double? AheadMax { get; init; }

    /// <summary>What <see cref="Ahead"/> is to reach; null when the case is only stated.</summary>
    public double? Target { get; init; }

    public bool? Met => Target is { } target && Ahead is { } ahead ? ahead >= target : null;

    /// <summary>Further figures of the case, each with its unit in its name.</summary>
    public IReadOnlyDictionary<string, double>? More { get; init; }
}
