using System.Text.Json;
using Hotpot.Cli.Processes;

namespace Hotpot.Cli.Cluster;

/// <summary>One silo of a local cluster: where its data is, and the process it last ran as.</summary>
internal sealed record NodeRecord(string Name, string DataDirectory, ProcessIdentity? Process)
{
    public bool IsRunning => Process is { IsAlive: true };
}

/// <summary>What `cluster up` remembers of a cluster on this machine.</summary>
internal sealed record ClusterState(string Medium, IReadOnlyList<NodeRecord> Nodes)
{
    public static readonly ClusterState Empty = new("file", []);
}

/// <summary>The folder of a local cluster.</summary>
/// <remarks>
///   cluster.json   ClusterState; replaced as a whole, so a reader sees the old or the new one
///   cluster.key    the key that nodes prove to each other; made once, readable by its owner only
///   lock           held exclusively while a command changes the cluster
///   members/       where the embedded actor host's silos find each other
///   node-N/        data directory of node N, unless --data put it elsewhere
///   node-N.log     output of its process
/// </remarks>
internal sealed class ClusterFolder(string path)
{
    private static readonly JsonSerializerOptions s_json = new() { WriteIndented = true, PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };

    public string Root { get; } = Path.GetFullPath(path);

    public string Members => Path.Combine(Root, "members");

    public string KeyFile => Path.Combine(Root, "cluster.key");

    private string StateFile => Path.Combine(Root, "cluster.json");

    public string LogOf(string node) => Path.Combine(Root, node + ".log");

    /// <summary>The folder that is used when a command names none.</summary>
    public static string Default =>
        Environment.GetEnvironmentVariable("HOTPOT_CLUSTER") is { Length: > 0 } configured ? configured : Path.Combine("artifacts", "cluster");

    /// <summary>Throws with <see cref="ExitCodes.NotFound"/> when no cluster was ever started there.</summary>
    public ClusterState Load() =>
        TryLoad() ?? throw new CommandException(ExitCodes.NotFound, $"There is no cluster in {Root}; start one with ./hotpot cluster up.");

    public ClusterState? TryLoad()
    {
        if (!File.Exists(StateFile))
            return null;
        try
        {
            return JsonSerializer.Deserialize<ClusterState>(File.ReadAllText(StateFile), s_json)
                ?? throw new CommandException(ExitCodes.Failed, $"{StateFile} is empty; remove it, and the silos it named are no longer managed.");
        }
        catch (JsonException exception)
        {
            throw new CommandException(ExitCodes.Failed, $"{StateFile} cannot be read: {exception.Message} Remove it, and the silos it named are no longer managed.");
        }
    }

    public void Save(ClusterState state)
    {
        var fresh = StateFile + ".new";
        File.WriteAllText(fresh, JsonSerializer.Serialize(state, s_json));
        File.Move(fresh, StateFile, overwrite: true);
    }

    /// <summary>Held until disposed; a second command that would change the cluster is told so.</summary>
    public FileStream Lock()
    {
        Directory.CreateDirectory(Root);
        try
        {
            return new FileStream(Path.Combine(Root, "lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException exception)
        {
            throw new CommandException(ExitCodes.Unavailable, $"Another command is changing the cluster in {Root}; wait for it and try again ({exception.Message}).");
        }
    }

    /// <summary>Makes the cluster key on first use.</summary>
    public void EnsureKey()
    {
        if (File.Exists(KeyFile))
            return;
        var options = new FileStreamOptions
        {
            Mode = FileMode.CreateNew, Access = FileAccess.Write, UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
        };
        using var writer = new StreamWriter(KeyFile, options);
        writer.WriteLine(Convert.ToHexString(System.Security.Cryptography.RandomNumberGenerator.GetBytes(32)));
    }
}
