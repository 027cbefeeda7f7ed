using System.CommandLine;
using System.Globalization;
using Hotpot.Cli.Output;
using Hotpot.Clients;
using Hotpot.Grains;
using Hotpot.Runtime;

namespace Hotpot.Cli.Cluster;

/// <summary>`cluster status`: which silos run, and how far each dataset is from its degree.</summary>
internal static class ClusterStatus
{
    private const string Stopped = "stopped";
    private const string Starting = "starting";

    public static Command Create(Option<string> directory)
    {
        var json = new Option<bool>("--json") { Description = "Print one JSON object." };
        var command = new Command(
            "status",
            "Shows the silos of a cluster on this machine and its datasets, with the copies that are missing for their degree.")
        {
            directory, json,
        };
        command.SetAction((parsed, cancellation) => CommandRunner.RunAsync(() =>
        {
            var folder = new ClusterFolder(parsed.GetValue(directory)!);
            return ShowAsync(folder, folder.Load(), parsed.GetValue(json), cancellation);
        }));
        return command;
    }

    /// <summary>Throws with <see cref="ExitCodes.Unavailable"/> after showing what the processes say when no silo runs.</summary>
    public static async Task ShowAsync(ClusterFolder folder, ClusterState state, bool json, CancellationToken cancellation)
    {
        if (!state.Nodes.Any(node => node.IsRunning))
        {
            Print(new StatusView(folder.Root, state.Medium, state.Nodes.Select(Describe).ToArray(), []), json);
            throw new CommandException(ExitCodes.Unavailable, $"No silo of the cluster in {folder.Root} runs; start it with ./hotpot cluster up.");
        }

        await using var connection = await ClusterConnection.OpenAsync(folder, cancellation).ConfigureAwait(false);
        var datasets = new List<DatasetStatus>();
        foreach (var description in await connection.Hotpot.ListAsync(cancellation).ConfigureAwait(false))
            datasets.Add(await connection.Hotpot.StatAsync(description.Name, cancellation).ConfigureAwait(false));
        var nodes = new List<NodeView>();
        foreach (var node in state.Nodes)
            nodes.Add(await AddFiguresAsync(connection, Describe(node), datasets, cancellation).ConfigureAwait(false));
        Print(new StatusView(folder.Root, state.Medium, nodes, datasets.Select(DatasetView.Of).ToArray()), json);
    }

    /// <summary>What is known of a node without asking it.</summary>
    private static NodeView Describe(NodeRecord node)
    {
        var report = SiloReport.Read(node.DataDirectory);
        var current = SiloReport.Of(node);
        var state = node.IsRunning ? current?.State ?? Starting : Stopped;
        return new NodeView(node.Name, report?.Node, state, node.IsRunning ? node.Process!.Pid : null, current?.Incarnation, node.DataDirectory);
    }

    private static async Task<NodeView> AddFiguresAsync(ClusterConnection connection, NodeView view, List<DatasetStatus> datasets, CancellationToken cancellation)
    {
        if (view.Incarnation is null || !NodeId.TryParse(view.Node, out var id))
            return view;
        var held = datasets.SelectMany(dataset => dataset.Nodes).Where(status => status.Node == id).Select(status => status.Statistics).ToArray();
        view = view with
        {
            ChunksOwned = held.Aggregate(0UL, (sum, statistics) => sum + statistics.ChunksOwned),
            ChunksHeld = held.Aggregate(0UL, (sum, statistics) => sum + statistics.ChunksHeld),
        };
        try
        {
            var figures = (await connection.Grains.NodeGrain(id).StatAsync().WaitAsync(cancellation).ConfigureAwait(false)).Statistics;
            return view with
            {
                Commits = figures.Commits, Misses = figures.Misses, LogBytes = figures.LogUsedBytes, Peers = figures.PeersConnected,
                ReplicasMissing = figures.ReplicasMissing,
            };
        }
        catch (Exception exception) when (exception is not OperationCanceledException && CommandRunner.IsUnavailable(exception))
        {
            // Its process runs and its status file says so: that it does not answer is the fact to show.
            return view with { State = "silent" };
        }
    }

    private static void Print(StatusView status, bool json)
    {
        if (json)
        {
            Screen.Json(status);
            return;
        }

        Screen.Table(
            ["node", "id", "state", "pid", "incarnation", "chunks owned", "held", "commits", "misses", "log", "peers"],
            status.Nodes.Select(node => (string[])
            [
                node.Name, node.Node ?? "-", node.State, Text(node.Pid), Text(node.Incarnation), Text(node.ChunksOwned), Text(node.ChunksHeld),
                Text(node.Commits), Text(node.Misses), node.LogBytes is { } bytes ? ByteSize.Format((long)bytes) : "-", Text(node.Peers),
            ]).ToArray());
        if (status.Datasets.Count > 0)
        {
            Screen.Table(
                ["dataset", "size", "degree", "chunks", "assigned", "recovering", "copies missing", "replicated"],
                status.Datasets.Select(dataset => (string[])
                [
                    dataset.Name, ByteSize.Format(dataset.Size), Text(dataset.Degree), Text(dataset.Chunks), Text(dataset.Assigned), Text(dataset.Recovering),
                    dataset.ReplicasMissing == 0 ? "0" : $"{dataset.ReplicasMissing} (below degree {dataset.Degree})",
                    string.Create(CultureInfo.InvariantCulture, $"{dataset.ReplicatedPercent:0.#} %"),
                ]).ToArray());
        }
    }

    private static string Text(long? value) => value?.ToString(CultureInfo.InvariantCulture) ?? "-";

    private static string Text(ulong? value) => value?.ToString(CultureInfo.InvariantCulture) ?? "-";

    private sealed record StatusView(string Directory, string Medium, IReadOnlyList<NodeView> Nodes, IReadOnlyList<DatasetView> Datasets);

    /// <summary>The figures are null when the node was not asked or did not answer.</summary>
    private sealed record NodeView(string Name, string? Node, string State, int? Pid, ulong? Incarnation, string Data)
    {
        public ulong? ChunksOwned { get; init; }

        public ulong? ChunksHeld { get; init; }

        public ulong? ReplicasMissing { get; init; }

        public ulong? Commits { get; init; }

        public ulong? Misses { get; init; }

        public ulong? LogBytes { get; init; }

        public ulong? Peers { get; init; }
    }
}
