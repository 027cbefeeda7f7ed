using System.Text.Json;
using System.Text.Json.Serialization;
using Hotpot.Terminal;

namespace Hotpot.Cli.Output;

/// <summary>
/// Where commands write. Results go to standard output, progress and errors to standard error, so that a pipe gets results only.
/// </summary>
internal static class Screen
{
    private static readonly JsonSerializerOptions s_json = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    };

    private static readonly ProgressDisplay s_output = ProgressDisplay.OnStandardOutput();
    private static readonly ProgressDisplay s_error = ProgressDisplay.OnStandardError();

    public static void Line(string text) => s_output.Line(text);

    public static void Note(string text) => s_error.Line(text);

    public static void Error(string text) => s_error.Line("hotpot: " + text);

    /// <summary>One JSON value on one line.</summary>
    public static void Json<T>(T value) => s_output.Line(JsonSerializer.Serialize(value, s_json));

    public static void Table(IReadOnlyList<string> head, IReadOnlyList<IReadOnlyList<string>> rows) => s_output.Table(head, rows);

    public static Task ProgressAsync(string title, double total, Func<IProgress<double>, Task> work) => s_error.RunAsync(title, total, work);
}
