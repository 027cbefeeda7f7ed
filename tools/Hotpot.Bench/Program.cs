using System.CommandLine;
using System.CommandLine.Invocation;
using Hotpot.Bench;
using Hotpot.Bench.Guard;
using Hotpot.Bench.Harness;
using Hotpot.Bench.Node;
using Hotpot.Silo;
using Hotpot.Terminal;
using Microsoft.Extensions.DependencyInjection;

const int Failed = 1;
const int Usage = 2;
const int Interrupted = 130;

var name = new Argument<string?>("name") { Arity = ArgumentArity.ZeroOrOne, Description = "Which benchmark: " + string.Join(", ", Catalog.Benchmarks.Select(bench => bench.Name)) + "." };
name.AcceptOnlyFromAmong([.. Catalog.Benchmarks.Select(bench => bench.Name)]);
var list = new Option<bool>("--list") { Description = "The benchmarks, one a line." };
var quick = new Option<bool>("--quick") { Description = "Answer within 40 seconds: fewer cases, shorter turns." };
var json = new Option<bool>("--json") { Description = "Progress on standard error; the last line on standard output is one JSON object." };
var run = new Command("bench", "Measures Hotpot and its peers side by side.") { name, list, quick, json };
run.SetAction(async (parsed, cancellation) =>
{
    var asJson = parsed.GetValue(json);
    var display = asJson ? ProgressDisplay.OnStandardError() : ProgressDisplay.OnStandardOutput();
    string host = HotpotClustering.HostName;
    if (host != "Embedded")
    {
        await Console.Error.WriteLineAsync("hotpot: the benchmarks start silos on one machine, which needs the embedded actor host; build them without ActorHost=Orleans.");
        return Usage;
    }

    if (parsed.GetValue(list) || parsed.GetValue(name) is null)
    {
        foreach (var each in Catalog.Benchmarks)
            display.Line($"{each.Name,-12} {each.What}");
        return parsed.GetValue(list) ? 0 : Usage;
    }

    return await WithExitCodeAsync(async () =>
    {
        var bench = Catalog.Benchmarks.First(candidate => candidate.Name == parsed.GetValue(name));
        var report = new Report(bench.Name, Machine.Here(), display);
        await bench.RunAsync(new BenchContext(parsed.GetValue(quick), display, report), cancellation);
        if (asJson)
            await Console.Out.WriteLineAsync(report.ToJson());
        return 0;
    }, cancellation);
});

var guard = new Command("guard", "Checks the quick benchmarks against bounds; the last line is 'N passed, N failed'.");
guard.SetAction((_, cancellation) => WithExitCodeAsync(async () =>
{
    var verdicts = await GuardRun.RunAsync(GuardRule.All, Catalog.Benchmarks, ProgressDisplay.OnStandardError(), cancellation);
    foreach (var verdict in verdicts)
        await Console.Out.WriteLineAsync(verdict.ToString());
    var failed = verdicts.Count(verdict => !verdict.Passed);
    await Console.Out.WriteLineAsync($"{verdicts.Count - failed} passed, {failed} failed");
    return failed == 0 ? 0 : Failed;
}, cancellation));

var node = NodeCommand.Create(services => services.AddSingleton<RunningWorkloads>());
var parsed = new RootCommand("The benchmarks of Hotpot.") { run, guard, node }.Parse(args);
var invocation = NodeCommand.Invocation(args);
if (parsed.Action is not ParseErrorAction errors)
    return await parsed.InvokeAsync(invocation);
errors.ShowHelp = false;
await parsed.InvokeAsync(invocation);
return Usage;

static async Task<int> WithExitCodeAsync(Func<Task<int>> work, CancellationToken cancellation)
{
    try
    {
        return await work();
    }
    // Ctrl-C reaches the silos and servers as well, so a call to one of them may fail before the cancellation is seen.
    catch (Exception exception) when (cancellation.IsCancellationRequested && exception is (OperationCanceledException or OrleansException or IOException))
    {
        await Console.Error.WriteLineAsync("hotpot: interrupted; the silos and servers have been ended.");
        return Interrupted;
    }
    catch (Exception exception) when (exception is LocalClusterException or HotpotException or OrleansException or TimeoutException or IOException)
    {
        await Console.Error.WriteLineAsync($"hotpot: {exception.Message}");
        return Failed;
    }
}
