using Hotpot.Terminal;

namespace Hotpot.Bench.Harness;

/// <summary>One benchmark that can be called by its name.</summary>
internal interface IBenchmark
{
    string Name { get; }

    /// <summary>One line for the list of benchmarks.</summary>
    string What { get; }

    Task RunAsync(BenchContext context, CancellationToken cancellation);
}

/// <summary>What a run was asked for, and where it puts what it finds.</summary>
/// <param name="Quick">Answer within 40 seconds: fewer cases and shorter turns, never fewer than five turns.</param>
internal sealed record BenchContext(bool Quick, ProgressDisplay Display, Report Report);
