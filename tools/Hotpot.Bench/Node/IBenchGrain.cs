using Hotpot.Bench.Harness;

namespace Hotpot.Bench.Node;

/// <summary>What measures runs in a node's process, where the dataset is mapped; the peer's client runs in the same process, on the same thread pool.</summary>
[Alias("hotpot.bench.IBenchGrain")]
public interface IBenchGrain : IGrainWithStringKey
{
    /// <summary>Makes a workload ready under a key: datasets are mapped, connections are open, data is loaded.</summary>
    [Alias("Prepare")]
    [ResponseTimeout("00:10:00")]
    Task PrepareAsync(string key, WorkloadSpec spec);

    /// <summary>One turn: at most so many operations, begun within the limit.</summary>
    [Alias("Run")]
    [ResponseTimeout("00:10:00")]
    Task<Turn> RunAsync(string key, int operations, TimeSpan limit);

    [Alias("End")]
    [ResponseTimeout("00:01:00")]
    Task EndAsync(string key);
}

/// <summary>Which workload, and its parameters by name.</summary>
[GenerateSerializer]
[Immutable]
[Alias("hotpot.bench.WorkloadSpec")]
public sealed record WorkloadSpec
{
    [Id(0)] public required string Kind { get; init; }

    [Id(1)] public Dictionary<string, string> Parameters { get; init; } = [];

    public string this[string name] => Parameters.TryGetValue(name, out var value) ? value : throw new KeyNotFoundException($"The workload '{Kind}' needs the parameter '{name}'.");

    public long Number(string name) => long.Parse(this[name], System.Globalization.CultureInfo.InvariantCulture);
}
