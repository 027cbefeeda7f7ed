using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;
using Hotpot.Bench.Harness;

namespace Hotpot.Bench.Benches.Scale;

/// <summary>Clusters of many nodes in one process: the engines that ship, in simulated time, with the faults that a seed brings (docs/testing.md).</summary>
internal static partial class Simulation
{
    public const string Program = "hotpot_sim";

    /// <summary>Null where it has not been built.</summary>
    public static string? Find()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            var program = Path.Combine(folder.FullName, "artifacts", "native", "Release", Program);
            if (File.Exists(program))
                return program;
        }

        return null;
    }

    /// <summary>One seed with so many nodes. Its time is that of the machine that simulates, nothing of the simulated cluster's.</summary>
    /// <exception cref="LocalClusterException">The seed did not end well; there is no figure.</exception>
    public static async Task<Turn> RunAsync(string program, int nodes, int seed, CancellationToken cancellation)
    {
        string[] arguments = ["--nodes", $"{nodes}", "--seed", $"{seed}"];
        var began = Stopwatch.GetTimestamp();
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true })
            ?? throw new LocalClusterException($"The program {program} did not start.");
        try
        {
            var output = await process.StandardOutput.ReadToEndAsync(cancellation);
            await process.WaitForExitAsync(cancellation);
            // The program tells tenths of a second, which is more than a small cluster takes.
            return Parse(output, nodes, Stopwatch.GetElapsedTime(began).TotalSeconds);
        }
        finally
        {
            if (!process.HasExited)
                process.Kill();
        }
    }

    internal static Turn Parse(string output, int nodes, double seconds)
    {
        if (Summary().Match(output) is not { Success: true } summary || summary.Groups["failed"].Value != "0")
            throw new LocalClusterException($"The simulation of {nodes} nodes did not end well: {output.Trim()}");
        double commits = Number("commits"), events = Number("events");
        return new Turn
        {
            Us = [seconds * 1e6 / commits],
            Operations = (long)commits,
            Seconds = seconds,
            More = new() { ["us_per_commit_and_node"] = seconds * 1e6 / commits / nodes, ["us_per_event"] = seconds * 1e6 / events, ["events_per_commit"] = events / commits },
        };

        double Number(string name) => double.Parse(summary.Groups[name].Value, CultureInfo.InvariantCulture);
    }

    [GeneratedRegex(@"\d+ seeds, (?<failed>\d+) failed, (?<commits>\d+) commits acknowledged, .*?(?<events>\d+) events, ")]
    private static partial Regex Summary();
}
