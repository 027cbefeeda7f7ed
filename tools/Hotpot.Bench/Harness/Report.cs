using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using Hotpot.Terminal;

namespace Hotpot.Bench.Harness;

/// <summary>What a benchmark found out.</summary>
internal sealed class Report(string bench, Machine machine, ProgressDisplay display)
{
    private static readonly JsonSerializerOptions s_json = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        DefaultIgnoreCondition = JsonIgnoreCondition.Never,
    };

    private readonly List<Row> _rows = [];
    private readonly List<string> _skipped = [];

    public IReadOnlyList<Row> Rows => _rows;

    public void Add(Row row)
    {
        _rows.Add(row);
        display.Line(Describe(row));
    }

    /// <summary>Says what was not measured and why; a figure is never made up for it.</summary>
    public void Skip(string what, string why)
    {
        _skipped.Add($"{what}: {why}");
        display.Line($"  skipped {what}: {why}");
    }

    public string ToJson() => JsonSerializer.Serialize(new { Bench = bench, Machine = machine, Rows = _rows, Skipped = _skipped }, s_json);

    internal static string Describe(Row row)
    {
        var text = string.Create(CultureInfo.InvariantCulture, $"  {row.Case} ({row.Placement}, {row.Transport}, {row.Medium}): {Figures(row.P50Us, row.P99Us, row.MeanUs, row.OpsS)}");
        if (row.Peer is not null)
            text += string.Create(CultureInfo.InvariantCulture, $"; {row.Peer} {Figures(row.PeerP50Us, row.PeerP99Us, row.PeerMeanUs, row.PeerOpsS)}; ahead {row.Ahead:0.00} ({row.AheadMin:0.00} to {row.AheadMax:0.00})");
        if (row.Target is { } target)
            text += string.Create(CultureInfo.InvariantCulture, $", target {target:0.##}: {(row.Met == true ? "met" : "MISSED")}");
        foreach (var (name, value) in row.More ?? new Dictionary<string, double>())
            text += string.Create(CultureInfo.InvariantCulture, $"; {name} {value:0.###}");
        return text;
    }

    private static string Figures(double? p50, double? p99, double? mean, double? rate) => p50 is null
        ? string.Create(CultureInfo.InvariantCulture, $"{rate:0.#}/s")
        : string.Create(CultureInfo.InvariantCulture, $"{rate:0.#}/s, p50 {p50:0.##} us, p99 {p99:0.##} us, mean {mean:0.##} us");
}
