using System.Text.Json;

namespace Hotpot.Cli.Cluster;

/// <summary>What a silo says of itself in the status.json of its data directory.</summary>
internal sealed record SiloReport(string State, int Pid, string Node, ulong Incarnation, string FabricAddress, string ActorHost)
{
    private const string FileName = "status.json";
    private const string Ready = "ready";

    private static readonly JsonSerializerOptions s_json = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };

    public bool IsReady => State == Ready;

    /// <summary>The report of the process that runs now; null when it has not written one yet. An earlier process's report does not count.</summary>
    public static SiloReport? Of(NodeRecord node) =>
        Read(node.DataDirectory) is { } report && node.IsRunning && report.Pid == node.Process!.Pid ? report : null;

    /// <summary>The last report, whoever wrote it; null when there is none. The silo replaces the file as a whole.</summary>
    public static SiloReport? Read(string dataDirectory)
    {
        var path = Path.Combine(dataDirectory, FileName);
        return File.Exists(path) ? JsonSerializer.Deserialize<SiloReport>(File.ReadAllText(path), s_json) : null;
    }
}
