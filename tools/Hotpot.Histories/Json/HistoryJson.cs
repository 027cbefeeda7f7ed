using System.Text.Json;
using System.Text.Json.Serialization;

namespace Hotpot.Histories.Json;

/// <summary>How an operation looks as a line of JSON; see <see cref="HistoryReader"/>.</summary>
internal static class HistoryJson
{
    public static JsonSerializerOptions Options { get; } = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
        RespectNullableAnnotations = true,
        RespectRequiredConstructorParameters = true,
        Converters = { new JsonStringEnumConverter(JsonNamingPolicy.SnakeCaseLower, allowIntegerValues: false) },
    };
}
