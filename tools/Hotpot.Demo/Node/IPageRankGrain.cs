namespace Hotpot.Demo.Node;

/// <summary>
/// The demo's application on one node: its key is the node's id, and it runs there, where the dataset is mapped. What takes
/// longer than a moment may take minutes, so those calls have their own time limit.
/// </summary>
[Alias("hotpot.demo.IPageRankGrain")]
public interface IPageRankGrain : IGrainWithStringKey
{
    /// <summary>Stores the graph in the dataset and commits it piece by piece.</summary>
    [Alias("Load")]
    [ResponseTimeout("00:05:00")]
    Task LoadAsync(string dataset, string graphFile);

    /// <summary>Computes one share of the ranks, in step with the other nodes. Returns the number of iterations.</summary>
    [Alias("Rank")]
    [ResponseTimeout("00:05:00")]
    Task<int> RankAsync(RankRequest request);

    /// <summary>How far the load (bytes) or the ranking (iterations) that runs now has come.</summary>
    [AlwaysInterleave]
    [Alias("GetProgress")]
    Task<double> GetProgressAsync();

    /// <summary>The highest ranks, read by following the pointers in the dataset.</summary>
    [Alias("Top")]
    [ResponseTimeout("00:01:00")]
    Task<RankedPackage[]> TopAsync(string dataset, int iterations, int count);

    /// <summary>Reads the whole dataset through the mapping and counts the bytes that differ from a file.</summary>
    [Alias("CountDifferences")]
    [ResponseTimeout("00:02:00")]
    Task<long> CountDifferencesAsync(string dataset, string file);

    /// <summary>Random loads of eight bytes in the mapped graph, and in ordinary memory for comparison.</summary>
    [Alias("MeasureLoads")]
    [ResponseTimeout("00:01:00")]
    Task<LoadMeasurement> MeasureLoadsAsync(string dataset, long bytes);

    /// <summary>Fills a dataset whose every page begins with its number, and so becomes the owner of its chunks.</summary>
    [Alias("FillPages")]
    [ResponseTimeout("00:01:00")]
    Task FillPagesAsync(string dataset);

    /// <summary>First touches of pages that another node holds, in random order; returns the median in microseconds.</summary>
    [Alias("MeasureMisses")]
    [ResponseTimeout("00:01:00")]
    Task<double> MeasureMissesAsync(string dataset, int touches);

    /// <summary>Stores of 1 KiB, each committed; returns the median of the commits in microseconds.</summary>
    [Alias("MeasureCommits")]
    [ResponseTimeout("00:01:00")]
    Task<double> MeasureCommitsAsync(string dataset, int commits);
}

/// <summary>One node's part in a ranking.</summary>
[GenerateSerializer]
[Immutable]
[Alias("hotpot.demo.RankRequest")]
public sealed record RankRequest
{
    [Id(0)] public required string Dataset { get; init; }

    /// <summary>Which share this node computes, and into how many the work is divided.</summary>
    [Id(1)] public required int Share { get; init; }

    [Id(2)] public required int Shares { get; init; }

    [Id(3)] public required int Iterations { get; init; }

    /// <summary>The barrier at which the nodes meet after each iteration.</summary>
    [Id(4)] public required string Barrier { get; init; }

    /// <summary>On how many nodes each commit must be durable; fewer than the dataset's degree while a node is away.</summary>
    [Id(5)] public required int MinDegree { get; init; }
}

/// <summary>One line of the demo's result.</summary>
[GenerateSerializer]
[Immutable]
[Alias("hotpot.demo.RankedPackage")]
public sealed record RankedPackage
{
    [Id(0)] public required string Name { get; init; }

    [Id(1)] public required double Rank { get; init; }
}

/// <summary>Nanoseconds for one load.</summary>
[GenerateSerializer]
[Immutable]
[Alias("hotpot.demo.LoadMeasurement")]
public sealed record LoadMeasurement
{
    [Id(0)] public required double MappedNs { get; init; }

    [Id(1)] public required double OrdinaryNs { get; init; }
}
