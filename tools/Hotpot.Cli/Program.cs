using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using Hotpot.Cli;
using Hotpot.Cli.Cluster;
using Hotpot.Cli.Datasets;

var directory = new Option<string>("--directory", "-C")
{
    Description = "The cluster's folder (its default can be set with HOTPOT_CLUSTER).",
    DefaultValueFactory = _ => ClusterFolder.Default,
};
// Not a RootCommand, which takes its name from the program file: people call this ./hotpot.
var root = new Command("./hotpot", "Clusters of this machine and their datasets.")
{
    new HelpOption { Action = new HelpWithExitCodes(new HelpAction()) },
    new Command("cluster", "Starts, stops and shows several silos on this machine.")
    {
        ClusterUp.Create(directory),
        ClusterDown.Create(directory),
        ClusterStatus.Create(directory),
    },
    DatasetCommands.Create(directory),
};
var parsed = root.Parse(args);
if (parsed.Action is not ParseErrorAction errors)
    return await parsed.InvokeAsync();
// The parser says what is wrong, but its own exit code for that is the one of a failure.
errors.ShowHelp = false;
await parsed.InvokeAsync();
return ExitCodes.Usage;
