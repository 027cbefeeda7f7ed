using System.CommandLine;
using System.Security.Cryptography;
using Hotpot.Cli.Cluster;
using Hotpot.Cli.Output;
using Hotpot.Clients;
using Hotpot.Grains;
using Hotpot.Runtime;

namespace Hotpot.Cli.Datasets;

/// <summary>`dataset put`, `get` and `checksum`: bytes in, bytes out, and whether all nodes agree on them.</summary>
internal static class DatasetBytes
{
    private const string StandardStream = "-";

    public static Command PutCommand(Option<string> directory)
    {
        var name = DatasetCommands.NameArgument();
        var file = new Argument<string>("file") { Description = "The file to copy, or - for standard input." };
        var offset = OffsetOption();
        var command = new Command("put", $"Copies a file into a dataset; each {ByteSize.Format(RemoteLimits.MaxBytes)} is one commit.") { name, file, directory, offset };
        command.SetAction((parsed, cancellation) => DatasetCommands.WithClusterAsync(
            parsed.GetValue(directory)!,
            connection => PutAsync(connection, parsed.GetValue(name)!, parsed.GetValue(file)!, parsed.GetValue(offset), cancellation),
            cancellation));
        return command;
    }

    public static Command GetCommand(Option<string> directory)
    {
        var name = DatasetCommands.NameArgument();
        var file = new Argument<string>("file") { Description = "The file to write, or - for standard output.", DefaultValueFactory = _ => StandardStream };
        var offset = OffsetOption();
        var length = LengthOption();
        var command = new Command("get", "Copies committed bytes of a dataset into a file.") { name, file, directory, offset, length };
        command.SetAction((parsed, cancellation) => DatasetCommands.WithClusterAsync(
            parsed.GetValue(directory)!,
            connection => GetAsync(connection, parsed.GetValue(name)!, parsed.GetValue(file)!, parsed.GetValue(offset), parsed.GetValue(length), cancellation),
            cancellation));
        return command;
    }

    public static Command ChecksumCommand(Option<string> directory)
    {
        var name = DatasetCommands.NameArgument();
        var offset = OffsetOption();
        var length = LengthOption();
        var everyNode = new Option<bool>("--every-node") { Description = "Ask each node for the checksum of the bytes as it sees them, and fail when two differ." };
        var json = DatasetCommands.JsonOption();
        var command = new Command("checksum", "Prints the SHA-256 of committed bytes.") { name, directory, offset, length, everyNode, json };
        command.SetAction((parsed, cancellation) => DatasetCommands.WithClusterAsync(
            parsed.GetValue(directory)!,
            connection => ChecksumAsync(connection, parsed.GetValue(name)!, parsed.GetValue(offset), parsed.GetValue(length), parsed.GetValue(everyNode), parsed.GetValue(json), cancellation),
            cancellation));
        return command;
    }

    private static Option<long> OffsetOption() => new("--offset") { Description = "Where in the dataset to begin (default 0).", CustomParser = ByteSize.Parse };

    private static Option<long?> LengthOption() =>
        new("--length") { Description = "How many bytes (default: to the end).", CustomParser = result => ByteSize.Parse(result) };

    private static async Task PutAsync(ClusterConnection connection, string name, string file, long offset, CancellationToken cancellation)
    {
        var dataset = await connection.Hotpot.OpenAsync(name, cancellation).ConfigureAwait(false);
        await using var source = file == StandardStream ? Console.OpenStandardInput() : File.OpenRead(file);
        // The whole is checked before the first byte is committed; of a pipe the length is unknown, and the write that goes too far fails.
        var length = source.CanSeek ? source.Length : 0;
        new ByteRange(offset, length).CheckInside(dataset.Size, name);
        long done = 0;
        await Screen.ProgressAsync($"Writing {name}", source.CanSeek ? Math.Max(length, 1) : dataset.Size - offset, async progress =>
        {
            var buffer = new byte[RemoteLimits.MaxBytes];
            for (int count; (count = await source.ReadAtLeastAsync(buffer, buffer.Length, throwOnEndOfStream: false, cancellation).ConfigureAwait(false)) > 0;)
            {
                await dataset.WriteAsync(offset + done, buffer.AsMemory(0, count), cancellationToken: cancellation).ConfigureAwait(false);
                progress.Report(done += count);
            }
        }).ConfigureAwait(false);
        Screen.Note($"{done} bytes written to {name} at {offset}, on {dataset.Description.Degree} nodes.");
    }

    private static async Task GetAsync(ClusterConnection connection, string name, string file, long offset, long? length, CancellationToken cancellation)
    {
        var dataset = await connection.Hotpot.OpenAsync(name, cancellation).ConfigureAwait(false);
        var range = RangeOf(dataset, offset, length);
        await using var target = file == StandardStream ? Console.OpenStandardOutput() : File.Create(file);
        await ReadAsync(dataset, range, $"Reading {name}", piece => target.WriteAsync(piece, cancellation), cancellation).ConfigureAwait(false);
    }

    private static async Task ChecksumAsync(
        ClusterConnection connection, string name, long offset, long? length, bool everyNode, bool json, CancellationToken cancellation)
    {
        var dataset = await connection.Hotpot.OpenAsync(name, cancellation).ConfigureAwait(false);
        var range = RangeOf(dataset, offset, length);
        var sums = everyNode
            ? await ChecksumOfNodesAsync(connection, dataset, range, cancellation).ConfigureAwait(false)
            : [new Checksum(null, await ChecksumHereAsync(dataset, range, cancellation).ConfigureAwait(false))];
        if (json)
            Screen.Json(new ChecksumView(name, range.Offset, range.Length, sums));
        else
            foreach (var sum in sums)
                Screen.Line(sum.Node is null ? $"{sum.Sha256}  {name}" : $"{sum.Sha256}  {name}  {sum.Node}");
        if (sums.Select(sum => sum.Sha256).Distinct().Count() > 1)
            throw new CommandException(ExitCodes.Failed, $"The nodes do not show the same bytes of {name}; if nobody commits to it now, look at ./hotpot dataset stat {name}.");
    }

    private static async Task<string> ChecksumHereAsync(Dataset dataset, ByteRange range, CancellationToken cancellation)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        await ReadAsync(
            dataset, range, $"Reading {dataset.Name}",
            piece =>
            {
                hash.AppendData(piece.Span);
                return ValueTask.CompletedTask;
            },
            cancellation).ConfigureAwait(false);
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    private static async Task<IReadOnlyList<Checksum>> ChecksumOfNodesAsync(ClusterConnection connection, Dataset dataset, ByteRange range, CancellationToken cancellation)
    {
        var members = (await dataset.StatAsync(cancellation).ConfigureAwait(false)).Health.Members;
        var sums = new List<Checksum>();
        await Screen.ProgressAsync($"Reading {dataset.Name} on {members.Length} nodes", members.Length, async progress =>
        {
            foreach (var member in members)
            {
                var sum = await connection.Grains.NodeGrain(member).ChecksumAsync(dataset.Id, range).WaitAsync(cancellation).ConfigureAwait(false);
                sums.Add(new Checksum(member.ToString(), Convert.ToHexStringLower(sum)));
                progress.Report(sums.Count);
            }
        }).ConfigureAwait(false);
        return sums;
    }

    private static Task ReadAsync(Dataset dataset, ByteRange range, string title, Func<ReadOnlyMemory<byte>, ValueTask> take, CancellationToken cancellation) =>
        Screen.ProgressAsync(title, Math.Max(range.Length, 1), async progress =>
        {
            var buffer = new byte[RemoteLimits.MaxBytes];
            for (long done = 0; done < range.Length;)
            {
                var piece = buffer.AsMemory(0, (int)Math.Min(buffer.Length, range.Length - done));
                await dataset.ReadAsync(range.Offset + done, piece, cancellation).ConfigureAwait(false);
                await take(piece).ConfigureAwait(false);
                progress.Report(done += piece.Length);
            }
        });

    private static ByteRange RangeOf(Dataset dataset, long offset, long? length)
    {
        var range = new ByteRange(offset, length ?? Math.Max(dataset.Size - offset, 0));
        range.CheckInside(dataset.Size, dataset.Name);
        return range;
    }

    private sealed record Checksum(string? Node, string Sha256);

    private sealed record ChecksumView(string Name, long Offset, long Length, IReadOnlyList<Checksum> Checksums);
}
