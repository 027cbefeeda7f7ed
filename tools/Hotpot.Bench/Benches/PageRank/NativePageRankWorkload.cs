using System.Diagnostics;
using Hotpot.Bench.Harness;
using Hotpot.Bench.Node;
using Hotpot.Graph.Storage;

namespace Hotpot.Bench.Benches.PageRank;

/// <summary>The peer's side: the same number of steps in C++ on the same CSR, in the same process. Given a dataset it compares the ranks there with its own.</summary>
internal sealed class NativePageRankWorkload(NativePageRank rank, CsrFile csr, int steps, StoredGraph? compared) : IWorkload
{
    public const string Kind = "pagerank-native";

    public static WorkloadSpec Spec(string csrFile, int steps, string? compared = null) => new()
    {
        Kind = Kind,
        Parameters = new() { ["csr"] = csrFile, ["steps"] = $"{steps}", ["compared"] = compared ?? "" },
    };

    public static async Task<IWorkload> CreateAsync(WorkloadContext context)
    {
        var name = context.Spec["compared"];
        var compared = name.Length == 0 ? null : await StoredGraph.OpenAsync(context.Hotpot, name);
        var csr = new CsrFile(context.Spec["csr"]);
        return new NativePageRankWorkload(new NativePageRank(csr), csr, (int)context.Spec.Number("steps"), compared);
    }

    public Task<Turn> RunAsync(int operations, TimeSpan limit)
    {
        var began = Stopwatch.GetTimestamp();
        rank.Start();
        var times = new double[steps];
        for (var step = 0; step < steps; step++)
        {
            var before = Stopwatch.GetTimestamp();
            rank.Step();
            times[step] = Samples.Microseconds(Stopwatch.GetTimestamp() - before);
        }

        return Task.FromResult(new Turn
        {
            Us = times,
            Operations = steps,
            Seconds = Stopwatch.GetElapsedTime(began).TotalSeconds,
            More = compared is null ? [] : new() { ["largest_relative_error"] = LargestError(compared) },
        });
    }

    public ValueTask DisposeAsync()
    {
        rank.Dispose();
        compared?.Dispose();
        return ValueTask.CompletedTask;
    }

    private unsafe double LargestError(StoredGraph graph)
    {
        var ranks = GraphStates.Read(graph.Root, _ => 0f);
        var error = 0.0;
        for (var row = 0; row < csr.Rows; row++)
        {
            // A rank that is no number must not pass as "no error".
            var difference = Math.Abs(ranks[csr.Id[row]] - rank.Scores[row]) / rank.Scores[row];
            error = float.IsNaN(difference) ? double.PositiveInfinity : Math.Max(error, difference);
        }

        return error;
    }
}
