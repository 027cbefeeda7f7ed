using System.CommandLine;
using System.Globalization;
using Hotpot.Cli.Cluster;
using Hotpot.Cli.Output;
using Hotpot.Clients;
using Hotpot.Runtime;

namespace Hotpot.Cli.Datasets;

/// <summary>`dataset ...`: everything about datasets that needs no mapping. The bytes commands are in <see cref="DatasetBytes"/>.</summary>
internal static class DatasetCommands
{
    public static Command Create(Option<string> directory) =>
        new("dataset", "Creates, lists, fills, reads and removes datasets.")
        {
            CreateCommand(directory),
            ListCommand(directory),
            StatCommand(directory),
            DatasetBytes.PutCommand(directory),
            DatasetBytes.GetCommand(directory),
            DatasetBytes.ChecksumCommand(directory),
            RemoveCommand(directory),
        };

    public static Argument<string> NameArgument() => new("name") { Description = "The dataset's name: 1 to 255 bytes of UTF-8." };

    public static Option<bool> JsonOption() => new("--json") { Description = "Print JSON." };

    /// <summary>Connects to the cluster, runs the work, and turns failures into exit codes.</summary>
    public static Task<int> WithClusterAsync(string directory, Func<ClusterConnection, Task> work, CancellationToken cancellation) =>
        CommandRunner.RunAsync(async () =>
        {
            await using var connection = await ClusterConnection.OpenAsync(new ClusterFolder(directory), cancellation).ConfigureAwait(false);
            await work(connection).ConfigureAwait(false);
        });

    private static Command CreateCommand(Option<string> directory)
    {
        var name = NameArgument();
        var size = new Option<long>("--size", "-s") { Description = "Bytes, or a number with K, M, G or T; rounded up to whole pages.", Required = true, CustomParser = ByteSize.Parse };
        var degree = new Option<int>("--degree", "-d") { Description = "How many nodes hold each committed byte durably: 1 to 8.", DefaultValueFactory = _ => 1 };
        var chunk = new Option<long?>("--chunk") { Description = "The unit of ownership and replication: a power of two from 4K to 1G (default 4M).", CustomParser = result => ByteSize.Parse(result) };
        var mode = new Option<string>("--mode") { Description = "Who may commit: multi (any node, merged by bytes) or single (the node that acquired the pages).", DefaultValueFactory = _ => "multi" };
        mode.AcceptOnlyFromAmong("multi", "single");
        var json = JsonOption();
        var command = new Command("create", "Creates a dataset of zeros.") { name, directory, size, degree, chunk, mode, json };
        command.SetAction((parsed, cancellation) => WithClusterAsync(
            parsed.GetValue(directory)!,
            async connection =>
            {
                var options = new DatasetOptions
                {
                    Degree = parsed.GetValue(degree),
                    ChunkBytes = parsed.GetValue(chunk) ?? DatasetOptions.Default.ChunkBytes,
                    Mode = parsed.GetValue(mode) == "single" ? SharingMode.SingleWriter : SharingMode.MultiWriter,
                };
                var dataset = await connection.Hotpot.CreateDatasetAsync(parsed.GetValue(name)!, parsed.GetValue(size), options, cancellation).ConfigureAwait(false);
                if (parsed.GetValue(json))
                    Screen.Json(DatasetView.Of(await dataset.StatAsync(cancellation).ConfigureAwait(false)));
                else
                    Screen.Note(dataset.ToString());
            },
            cancellation));
        return command;
    }

    private static Command ListCommand(Option<string> directory)
    {
        var json = JsonOption();
        var command = new Command("ls", "Lists the datasets by name.") { directory, json };
        command.SetAction((parsed, cancellation) => WithClusterAsync(
            parsed.GetValue(directory)!,
            async connection =>
            {
                var datasets = await connection.Hotpot.ListAsync(cancellation).ConfigureAwait(false);
                var views = datasets.Select(dataset => new ListedDataset(
                    dataset.Name, dataset.Id.ToString(), $"0x{dataset.BaseAddress:x}", dataset.Size, dataset.Degree, dataset.Mode.ToString(), dataset.ChunkBytes)).ToArray();
                if (parsed.GetValue(json))
                    Screen.Json(views);
                else
                    Screen.Table(
                        ["name", "size", "degree", "mode", "chunk", "base"],
                        views.Select(view => (string[])
                        [
                            view.Name, ByteSize.Format(view.Size), view.Degree.ToString(CultureInfo.InvariantCulture), view.Mode, ByteSize.Format(view.ChunkBytes), view.Base,
                        ]).ToArray());
            },
            cancellation));
        return command;
    }

    private static Command StatCommand(Option<string> directory)
    {
        var name = NameArgument();
        var json = JsonOption();
        var command = new Command("stat", "Shows one dataset: its chunks, who holds them, and what is missing for its degree.") { name, directory, json };
        command.SetAction((parsed, cancellation) => WithClusterAsync(
            parsed.GetValue(directory)!,
            async connection =>
            {
                var view = DatasetView.Of(await connection.Hotpot.StatAsync(parsed.GetValue(name)!, cancellation).ConfigureAwait(false));
                if (parsed.GetValue(json))
                    Screen.Json(view);
                else
                    Print(view);
            },
            cancellation));
        return command;
    }

    private static Command RemoveCommand(Option<string> directory)
    {
        var name = NameArgument();
        var command = new Command("rm", "Removes a dataset and its bytes on every node, for ever.") { name, directory };
        command.SetAction((parsed, cancellation) => WithClusterAsync(
            parsed.GetValue(directory)!, connection => connection.Hotpot.RemoveAsync(parsed.GetValue(name)!, cancellation), cancellation));
        return command;
    }

    private static void Print(DatasetView view)
    {
        var invariant = CultureInfo.InvariantCulture;
        Screen.Table(
            ["property", "value"],
            [
                ["name", view.Name],
                ["id", view.Id],
                ["base", view.Base],
                ["size", $"{view.Size} bytes ({ByteSize.Format(view.Size)})"],
                ["degree", view.Degree.ToString(invariant)],
                ["mode", view.Mode],
                ["chunks", string.Create(invariant, $"{view.Assigned} assigned of {view.Chunks}, {ByteSize.Format(view.ChunkBytes)} each")],
                ["recovering", string.Create(invariant, $"{view.Recovering} ({view.Waiting} wait for a node that is not here)")],
                ["replicated", string.Create(invariant, $"{view.ReplicatedPercent:0.#} % ({view.ReplicasMissing} copies missing, {view.Joining} being made)")],
                ["unreachable", view.Unreachable.Count == 0 ? "-" : string.Join(' ', view.Unreachable)],
            ]);
        Screen.Table(
            ["node", "chunks owned", "held", "pages present", "store"],
            view.Nodes.Select(node => (string[])
            [
                node.Node, node.ChunksOwned.ToString(invariant), node.ChunksHeld.ToString(invariant), node.PagesPresent.ToString(invariant), ByteSize.Format((long)node.StoreBytes),
            ]).ToArray());
    }

    private sealed record ListedDataset(string Name, string Id, string Base, long Size, int Degree, string Mode, long ChunkBytes);
}
