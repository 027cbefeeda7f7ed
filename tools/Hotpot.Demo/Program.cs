using System.CommandLine;
using System.CommandLine.Invocation;
using Hotpot.Demo.Node;
using Hotpot.Demo.Orchestration;
using Hotpot.Silo;
using Hotpot.Terminal;

const int Failed = 1;
const int Usage = 2;

var json = new Option<bool>("--json") { Description = "Progress on standard error; the last line on standard output is one JSON object." };
var iterations = new Option<int>("--iterations") { Description = "How many iterations of PageRank at most.", DefaultValueFactory = _ => 50 };
iterations.Validators.Add(result =>
{
    if (result.GetValueOrDefault<int>() < 1)
        result.AddError("--iterations must be at least 1.");
});
var data = new Option<string?>("--data") { Description = "Where the data directories go (default: shared memory if there is room, else the temporary folder)." };
var keep = new Option<bool>("--keep") { Description = "Leave the nodes' files in place." };
var demo = new Command("demo", "Ranks Debian's packages on three silos, kills one, and shows that nothing is lost.") { json, iterations, data, keep };
demo.SetAction(async (parsed, cancellation) =>
{
    var asJson = parsed.GetValue(json);
    var display = asJson ? ProgressDisplay.OnStandardError() : ProgressDisplay.OnStandardOutput();
    string host = HotpotClustering.HostName;
    if (host != "Embedded")
    {
        await Console.Error.WriteLineAsync("hotpot: the demo kills silos on one machine, which needs the embedded actor host; build it without ActorHost=Orleans.");
        return Usage;
    }

    try
    {
        var options = new DemoOptions(asJson, parsed.GetValue(iterations), parsed.GetValue(data), parsed.GetValue(keep));
        var result = await new DemoRun(options, display).RunAsync(cancellation);
        if (asJson)
            await Console.Out.WriteLineAsync(result.ToJson());
        if (!result.IsGood)
            await Console.Error.WriteLineAsync($"hotpot: the demo failed: largest error {result.MaxError}, {result.LostBytes} bytes lost.");
        return result.IsGood ? 0 : Failed;
    }
    catch (Exception exception) when (exception is DemoException or LocalClusterException or HotpotException or OrleansException or TimeoutException or IOException)
    {
        await Console.Error.WriteLineAsync($"hotpot: {exception.Message}");
        return Failed;
    }
});

var node = NodeCommand.Create(_ => { });
var parsed = new RootCommand("The demo of Hotpot.") { demo, node }.Parse(args);
if (parsed.Action is not ParseErrorAction errors)
    return await parsed.InvokeAsync(NodeCommand.Invocation(args));
errors.ShowHelp = false;
await parsed.InvokeAsync(NodeCommand.Invocation(args));
return Usage;
