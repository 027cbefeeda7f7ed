using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using System.Text.Json;

namespace Hotpot.Actors;

/// <summary>
/// Carries an exception to the caller with its type, message, properties and inner exceptions. Only types that are
/// known beforehand are made: those marked [GenerateSerializer], and a list of the framework's. Whatever else was
/// thrown arrives as an <see cref="OrleansException"/> that names the type.
/// </summary>
internal static class ExceptionCodec
{
    // A chain of inner exceptions is cut here; nobody reads that far, and a hostile frame could nest without end.
    private const int MaxDepth = 8;

    // COR_E_EXCEPTION, which the constructor of Exception would have set.
    private const int GeneralHResult = unchecked((int)0x80131500);

    private static readonly Dictionary<string, Type> FrameworkTypes = new[]
    {
        typeof(Exception), typeof(InvalidOperationException), typeof(ArgumentException), typeof(ArgumentNullException),
        typeof(ArgumentOutOfRangeException), typeof(NotSupportedException), typeof(NotImplementedException),
        typeof(TimeoutException), typeof(OperationCanceledException), typeof(TaskCanceledException),
        typeof(IOException), typeof(FileNotFoundException), typeof(UnauthorizedAccessException),
        typeof(OverflowException), typeof(FormatException), typeof(KeyNotFoundException), typeof(IndexOutOfRangeException),
        typeof(NullReferenceException), typeof(DivideByZeroException), typeof(InvalidDataException),
        typeof(EndOfStreamException), typeof(OutOfMemoryException), typeof(InsufficientMemoryException),
    }.ToDictionary(type => type.FullName!, StringComparer.Ordinal);

    private static readonly ConcurrentDictionary<string, Type> MarkedTypes = new(StringComparer.Ordinal);

    public static void Write(Utf8JsonWriter writer, Exception exception) => Write(writer, exception, 0);

    public static Exception Read(JsonElement element) => Read(element, 0);

    private static void Write(Utf8JsonWriter writer, Exception exception, int depth)
    {
        var type = exception.GetType();
        writer.WriteStartObject();
        writer.WriteString("type", type.FullName);
        writer.WriteString("assembly", type.Assembly.GetName().Name);
        writer.WriteString("message", exception.Message);
        if (exception.StackTrace is { } stack)
            writer.WriteString("stack", stack);
        if (type.IsDefined(typeof(GenerateSerializerAttribute), inherit: false))
        {
            writer.WriteStartObject("members");
            foreach (var member in WireMembers.Of(type))
            {
                writer.WritePropertyName(member.Name);
                JsonSerializer.Serialize(writer, member.Get(exception), member.Type, WireJson.Call);
            }

            writer.WriteEndObject();
        }

        if (exception.InnerException is { } inner && depth < MaxDepth)
        {
            writer.WritePropertyName("inner");
            Write(writer, inner, depth + 1);
        }

        writer.WriteEndObject();
    }

    private static Exception Read(JsonElement element, int depth)
    {
        var name = element.GetProperty("type").GetString() ?? "";
        var message = element.GetProperty("message").GetString() ?? "";
        var inner = element.TryGetProperty("inner", out var nested) && depth < MaxDepth ? Read(nested, depth + 1) : null;
        var type = FrameworkTypes.GetValueOrDefault(name) ?? FindMarked(name, element.GetProperty("assembly").GetString() ?? "");
        var exception = type is null
            ? new OrleansException($"The grain threw {name}, which has no [GenerateSerializer]: {message}", inner)
            : Make(type, message, inner);
        if (type is not null && element.TryGetProperty("members", out var values))
        {
            foreach (var member in WireMembers.Of(type))
            {
                if (values.TryGetProperty(member.Name, out var value))
                    member.Set(exception, value.Deserialize(member.Type, WireJson.Call));
            }
        }

        if (element.TryGetProperty("stack", out var stack))
            System.Runtime.ExceptionServices.ExceptionDispatchInfo.SetRemoteStackTrace(exception, stack.GetString() ?? "");
        return exception;
    }

    /// <summary>
    /// No constructor runs, since its parameters are unknown; the two fields that Exception sets there are set here.
    /// </summary>
    private static Exception Make(Type type, string message, Exception? inner)
    {
        var exception = (Exception)RuntimeHelpers.GetUninitializedObject(type);
        Message(exception) = message;
        Inner(exception) = inner;
        exception.HResult = FrameworkTypes.ContainsKey(type.FullName!)
            ? ((Exception)Activator.CreateInstance(type)!).HResult
            : GeneralHResult;
        return exception;
    }

    private static Type? FindMarked(string name, string assembly)
    {
        var key = $"{name}, {assembly}";
        if (MarkedTypes.TryGetValue(key, out var known))
            return known;
        var found = AppDomain.CurrentDomain.GetAssemblies()
            .Where(loaded => loaded.GetName().Name == assembly)
            .Select(loaded => loaded.GetType(name, throwOnError: false))
            .FirstOrDefault(type => type is { IsAbstract: false }
                && type.IsAssignableTo(typeof(Exception))
                && type.IsDefined(typeof(GenerateSerializerAttribute), inherit: false));

        // Only finds are remembered, so names that a peer makes up take no memory.
        if (found is not null)
            MarkedTypes[key] = found;
        return found;
    }

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_message")]
    private static extern ref string? Message(Exception exception);

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_innerException")]
    private static extern ref Exception? Inner(Exception exception);
}
