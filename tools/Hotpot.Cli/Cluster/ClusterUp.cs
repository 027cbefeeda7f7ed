using System.CommandLine;
using Hotpot.Cli.Output;

namespace Hotpot.Cli.Cluster;

/// <summary>`cluster up`: brings the silos of a local cluster to life, as many as are asked for.</summary>
/// <remarks>
/// Running it again is harmless: silos that run are left alone, those that do not are started with their old data, and a larger --nodes adds
/// new ones. The state is saved after each start, so a command that is interrupted leaves no silo behind that `down` does not know.
/// </remarks>
internal static class ClusterUp
{
    private const int NodesMax = 64; // HP_MAX_NODES

    private static readonly TimeSpan s_startTimeout = TimeSpan.FromSeconds(60);

    public static Command Create(Option<string> directory)
    {
        var nodes = new Option<int?>("--nodes", "-n") { Description = "How many silos the cluster has (default: as many as before, else 3)." };
        var medium = new Option<string?>("--medium")
        {
            Description = "Where commits become durable: pmem (fsdax, or tmpfs as its stand-in), file or memory (default: as before, else file).",
        };
        medium.AcceptOnlyFromAmong("pmem", "file", "memory");
        var data = new Option<string?>("--data")
        {
            Description = "Folder for the data directories of new nodes (default: the cluster's own folder; for pmem name a folder on fsdax or tmpfs).",
        };
        var json = new Option<bool>("--json") { Description = "Print the nodes as one JSON object." };
        var command = new Command("up", "Starts the silos of a cluster on this machine; those that run already are left alone.")
        {
            directory, nodes, medium, data, json,
        };
        nodes.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<int?>() is < 1 or > NodesMax)
                result.AddError($"--nodes must be between 1 and {NodesMax}.");
        });
        command.SetAction((parsed, cancellation) => CommandRunner.RunAsync(() => RunAsync(
            new ClusterFolder(parsed.GetValue(directory)!), parsed.GetValue(nodes), parsed.GetValue(medium), parsed.GetValue(data), parsed.GetValue(json), cancellation)));
        return command;
    }

    private static async Task RunAsync(ClusterFolder folder, int? nodes, string? medium, string? data, bool json, CancellationToken cancellation)
    {
        using var exclusive = folder.Lock();
        var state = folder.TryLoad() ?? ClusterState.Empty;
        if (medium is not null && state.Nodes.Count > 0 && medium != state.Medium)
            throw new CommandException(ExitCodes.Usage, $"The cluster in {folder.Root} has the medium {state.Medium}; use another --directory for {medium}.");
        state = Plan(folder, state with { Medium = medium ?? state.Medium }, nodes, data);
        Directory.CreateDirectory(folder.Members);
        folder.EnsureKey();
        for (var index = 0; index < state.Nodes.Count; index++)
        {
            var node = state.Nodes[index];
            if (node.IsRunning)
                continue;
            var started = node with { Process = SiloLauncher.Start(folder, state.Medium, node, index) };
            state = state with { Nodes = state.Nodes.Select((old, place) => place == index ? started : old).ToArray() };
            folder.Save(state);
        }

        await Screen.ProgressAsync($"Starting {state.Nodes.Count} silos", state.Nodes.Count, progress => WaitUntilReadyAsync(folder, state, progress, cancellation)).ConfigureAwait(false);
        await ClusterStatus.ShowAsync(folder, state, json, cancellation).ConfigureAwait(false);
    }

    private static ClusterState Plan(ClusterFolder folder, ClusterState state, int? nodes, string? data)
    {
        var count = nodes ?? (state.Nodes.Count > 0 ? state.Nodes.Count : 3);
        if (count < state.Nodes.Count)
            throw new CommandException(ExitCodes.Usage, $"The cluster in {folder.Root} has {state.Nodes.Count} nodes, and their data may be the only copy; stop it and remove the folder to begin again with {count}.");
        var records = state.Nodes.ToList();
        while (records.Count < count)
        {
            var name = $"node-{records.Count + 1}";
            records.Add(new NodeRecord(name, Path.GetFullPath(Path.Combine(data ?? folder.Root, name)), Process: null));
        }

        return state with { Nodes = records };
    }

    private static async Task WaitUntilReadyAsync(ClusterFolder folder, ClusterState state, IProgress<double> progress, CancellationToken cancellation)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        limit.CancelAfter(s_startTimeout);
        try
        {
            while (true)
            {
                var dead = state.Nodes.FirstOrDefault(node => !node.IsRunning);
                if (dead is not null)
                    throw new CommandException(ExitCodes.Failed, $"{dead.Name} ended while it was starting: {LastLine(folder.LogOf(dead.Name))} The whole log is {folder.LogOf(dead.Name)}.");
                var ready = state.Nodes.Count(node => SiloReport.Of(node) is { IsReady: true });
                progress.Report(ready);
                if (ready == state.Nodes.Count)
                    return;
                await Task.Delay(TimeSpan.FromMilliseconds(50), limit.Token).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            throw new CommandException(ExitCodes.Unavailable, $"Not all silos were ready within {s_startTimeout.TotalSeconds:0} s; their logs are in {folder.Root}.");
        }
    }

    private static string LastLine(string log) =>
        File.Exists(log) ? File.ReadLines(log).LastOrDefault(line => line.Length > 0) ?? "it wrote nothing." : "it wrote nothing.";
}
