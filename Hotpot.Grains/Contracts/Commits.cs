namespace Hotpot.Grains;

/// <summary>How a commit is to be carried out. A value of zero means the default that its comment names.</summary>
[GenerateSerializer]
[Immutable]
[Alias("hotpot.CommitOptions")]
public sealed record CommitOptions
{
    public static CommitOptions Default { get; } = new();

    /// <summary>
    /// When another commit changed the same bytes since this node last saw them: fail with <see cref="ConflictException"/> and apply nothing.
    /// Otherwise the last commit wins.
    /// </summary>
    [Id(0)] public bool FailOnConflict { get; init; }

    /// <summary>How many nodes must hold the bytes durably; zero: the dataset's degree.</summary>
    [Id(1)] public int MinDegree { get; init; }

    /// <summary>For the whole commit, retries included; zero: 30 seconds.</summary>
    [Id(2)] public TimeSpan Timeout { get; init; }

    /// <summary>
    /// When the commit has succeeded, release the grants that this node held when it was called and that lie wholly inside the committed ranges (all of the
    /// dataset's, when no range is named), as their dispose would. A commit that fails releases nothing.
    /// </summary>
    [Id(3)] public bool ReleaseGrants { get; init; }

    public TimeSpan EffectiveTimeout => Timeout > TimeSpan.Zero ? Timeout : DefaultTimeout;

    /// <summary>Longer than it takes to declare a node dead and to promote a replica, so that a commit outlives both.</summary>
    public static readonly TimeSpan DefaultTimeout = TimeSpan.FromSeconds(30);
}

/// <summary>What a commit did.</summary>
[GenerateSerializer]
[Immutable]
[Alias("hotpot.CommitResult")]
public sealed record CommitResult
{
    /// <summary>The smallest number of nodes that hold a committed byte durably; the degree asked for when nothing had changed.</summary>
    [Id(0)] public required int Degree { get; init; }

    /// <summary>Changed bytes.</summary>
    [Id(1)] public required long Bytes { get; init; }

    [Id(2)] public required int Pages { get; init; }

    /// <summary>How many owners took part.</summary>
    [Id(3)] public required int Owners { get; init; }

    /// <summary>How many transactions it took: 1 plus the retries.</summary>
    [Id(4)] public int Attempts { get; init; } = 1;
}
