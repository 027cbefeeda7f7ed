using System.CommandLine;
using System.CommandLine.Invocation;
using Hotpot.Chaos.Faults;
using Hotpot.Chaos.Node;
using Hotpot.Chaos.Orchestration;
using Hotpot.Silo;
using Hotpot.Terminal;
using Microsoft.Extensions.DependencyInjection;

const int Failed = 1;
const int Usage = 2;
const int Interrupted = 130;

var minutes = new Option<double>("--minutes") { Description = "How long faults go on.", DefaultValueFactory = _ => 2 };
minutes.Validators.Add(result =>
{
    if (result.GetValueOrDefault<double>() is not (> 0 and <= 24 * 60))
        result.AddError("--minutes must be more than 0 and at most 1440.");
});
var seed = new Option<int?>("--seed") { Description = "Decides which faults come in which order (default: a new one each time)." };
var nodes = new Option<int>("--nodes") { Description = "How many silos, 3 to 8.", DefaultValueFactory = _ => 3 };
nodes.Validators.Add(result =>
{
    if (result.GetValueOrDefault<int>() is not (>= 3 and <= 8))
        result.AddError("--nodes must be from 3 to 8.");
});
var medium = new Option<string>("--medium") { Description = "pmem (shared memory stands in for it) or file.", DefaultValueFactory = _ => "pmem" };
medium.AcceptOnlyFromAmong("pmem", "file");
var only = new Option<FaultKind[]>("--only") { Description = "Kinds of faults, after the first kill; all when it is left out.", AllowMultipleArgumentsPerToken = true };
var json = new Option<bool>("--json") { Description = "Progress on standard error; the last line on standard output is one JSON object." };
var keep = new Option<bool>("--keep") { Description = "Leave the nodes' files, their logs and the history in place; a run that finds something always does." };
var chaos = new Command("chaos", "Kills, stops, cuts off and restarts silos under load, and checks what every client saw.") { minutes, seed, nodes, medium, only, json, keep };
chaos.SetAction(async (parsed, cancellation) =>
{
    var asJson = parsed.GetValue(json);
    var display = asJson ? ProgressDisplay.OnStandardError() : ProgressDisplay.OnStandardOutput();
    string host = HotpotClustering.HostName;
    if (host != "Embedded")
    {
        await Console.Error.WriteLineAsync("hotpot: chaos kills silos on one machine, which needs the embedded actor host; build it without ActorHost=Orleans.");
        return Usage;
    }

    try
    {
        var options = new ChaosOptions(
            parsed.GetValue(minutes), parsed.GetValue(seed) ?? Random.Shared.Next(), parsed.GetValue(nodes), Enum.Parse<Medium>(parsed.GetValue(medium)!, ignoreCase: true), asJson, parsed.GetValue(keep),
            parsed.GetValue(only) ?? []);
        var result = await new ChaosRun(options, display).RunAsync(cancellation);
        if (asJson)
            await Console.Out.WriteLineAsync(result.ToJson());
        if (!result.IsGood)
            await Console.Error.WriteLineAsync($"hotpot: chaos with seed {result.Seed} failed: {result.Lost} lost, {result.Anomalies} anomalies, {result.Acked} commits, {result.Kills} kills.");
        return result.IsGood ? 0 : Failed;
    }
    catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
    {
        await Console.Error.WriteLineAsync("hotpot: interrupted; the silos have been ended.");
        return Interrupted;
    }
    catch (Exception exception) when (exception is LocalClusterException or HotpotException or OrleansException or TimeoutException or IOException)
    {
        await Console.Error.WriteLineAsync($"hotpot: {exception.Message}");
        return Failed;
    }
});

var node = NodeCommand.Create(services => services.AddSingleton<KeyLocks>().AddSingleton<Transactions>());
var parsed = new RootCommand("Chaos for Hotpot.") { chaos, node }.Parse(args);
var invocation = NodeCommand.Invocation(args);
if (parsed.Action is not ParseErrorAction errors)
    return await parsed.InvokeAsync(invocation);
errors.ShowHelp = false;
await parsed.InvokeAsync(invocation);
return Usage;
