namespace Hotpot.ClusterNode;

/// <summary>A node's part in loading a graph and computing on it.</summary>
[Alias("hotpot.test.IGraphGrain")]
public interface IGraphGrain : IGrainWithStringKey
{
    /// <summary>Writes one partition of a generated graph.</summary>
    [Alias("Load")]
    [ResponseTimeout("00:02:00")]
    Task LoadAsync(string dataset, GraphSource source, int partition);

    /// <summary>Each runs a program on one partition, in step with the other nodes, and returns the number of steps.</summary>
    [Alias("Rank")]
    [ResponseTimeout("00:02:00")]
    Task<int> RankAsync(string dataset, int partition, int steps);

    [Alias("Connect")]
    [ResponseTimeout("00:02:00")]
    Task<int> ConnectAsync(string dataset, int partition);

    [Alias("Measure")]
    [ResponseTimeout("00:02:00")]
    Task<int> MeasureAsync(string dataset, int partition, uint from);

    /// <summary>The states of all vertices as this node sees them, as bytes.</summary>
    [Alias("Read")]
    [ResponseTimeout("00:02:00")]
    Task<byte[]> ReadAsync(string dataset, int stateBytes);
}

/// <summary>Which graph, and how it is cut.</summary>
[GenerateSerializer]
[Immutable]
[Alias("hotpot.test.GraphSource")]
public sealed record GraphSource
{
    [Id(0)] public required int Scale { get; init; }

    [Id(1)] public required int EdgeFactor { get; init; }

    [Id(2)] public required int Partitions { get; init; }
}
