using System.Text.Json;
using System.Text.Json.Serialization;

namespace Hotpot.Chaos.Orchestration;

/// <summary>What a run found out, in the order in which --json prints it.</summary>
internal sealed record ChaosResult(
    int Seed,
    double Minutes,
    string Medium,
    int Nodes,
    long Acked,
    long Unknown,
    long Failed,
    int Lost,
    int Anomalies,
    int Kills,
    int Partitions,
    int Stops,
    int RollingRestarts,
    int LostDirectories,
    int Fenced,
    int Skipped,
    long MaxUnavailableMs,
    string Verdict)
{
    public const string Pass = "pass";
    public const string Fail = "fail";

    private static readonly JsonSerializerOptions s_json = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };

    /// <summary>Nothing was lost or wrong, and something happened that could have been.</summary>
    [JsonIgnore]
    public bool IsGood => Lost == 0 && Anomalies == 0 && Acked > 0 && Kills > 0;

    public string ToJson() => JsonSerializer.Serialize(this, s_json);
}
