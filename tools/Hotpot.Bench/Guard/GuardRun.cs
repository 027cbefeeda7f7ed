using Hotpot.Bench.Harness;
using Hotpot.Terminal;

namespace Hotpot.Bench.Guard;

// The ratio guard: do the cheapest benchmarks still stand where they stood?
//
// Problem. A test machine is busy and unlike the one a figure was taken on, so a time says nothing there, and even a ratio is wrong now and then.
//
// Scheme. Only ratios to peers of the repository itself are looked at, in turns that alternate, against bounds at half of what was measured. A benchmark with
// a rule that does not hold is run again, three times in all, and a rule holds when one run says so: noise makes a ratio bad once, a
// regression makes it bad each time.
internal static class GuardRun
{
    private const int RunsMax = 3;

    public static async Task<IReadOnlyList<GuardVerdict>> RunAsync(
        IReadOnlyList<GuardRule> rules, IReadOnlyList<IBenchmark> benchmarks, ProgressDisplay display, CancellationToken cancellation)
    {
        List<GuardVerdict> verdicts = [.. rules.Select(rule => new GuardVerdict(rule, Ahead: null))];
        for (var run = 0; run < RunsMax; run++)
        {
            foreach (var name in verdicts.Where(verdict => !verdict.Passed).Select(verdict => verdict.Rule.Bench).Distinct().ToList())
            {
                var bench = benchmarks.First(candidate => candidate.Name == name);
                display.Line($"{name}, run {run + 1} of at most {RunsMax}");
                var report = new Report(name, Machine.Here(), display);
                await bench.RunAsync(new BenchContext(Quick: true, display, report), cancellation);
                for (var i = 0; i < verdicts.Count; i++)
                    verdicts[i] = verdicts[i].After(name, report.Rows);
            }
        }

        return verdicts;
    }
}
