using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using Hotpot.Demo.Node;

namespace Hotpot.Demo.Orchestration;

/// <summary>What a run found out, in the order in which --json prints it.</summary>
internal sealed record DemoResult(
    int Packages,
    int Edges,
    IReadOnlyList<RankedPackage> Top,
    int Iterations,
    double MaxError,
    long LostBytes,
    double LoadNs,
    double LoadPlainNs,
    double MissUs,
    double CommitUs,
    long BytesMoved,
    double PromotedMs,
    double CaughtUpMs,
    int Nodes,
    string Medium,
    string Host)
{
    /// <summary>Sums of the same numbers in another order differ by a few units in the last place, and ranks are far below one.</summary>
    public const double ErrorMax = 1e-12;

    // The relaxed encoder leaves the plus signs of "libstdc++6" readable; the output goes to a program, not into a page.
    private static readonly JsonSerializerOptions s_json = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    [JsonIgnore]
    public bool IsGood => MaxError <= ErrorMax && LostBytes == 0;

    public string ToJson() => JsonSerializer.Serialize(this, s_json);
}
