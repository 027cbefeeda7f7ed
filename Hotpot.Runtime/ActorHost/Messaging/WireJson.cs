using System.Collections.Immutable;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;

namespace Hotpot.Actors;

/// <summary>
/// How values are written on the wire and in grain storage. The rules are those of Orleans, so that what works here
/// works there: of a type marked [GenerateSerializer] its members with [Id] travel, and of a record also its positional
/// members; a type of this repository without the mark is refused. Byte arrays do not become text: they are put into
/// segments beside the JSON, which holds only their number.
/// </summary>
internal static class WireJson
{
    [ThreadStatic]
    private static List<ReadOnlyMemory<byte>>? t_written;

    [ThreadStatic]
    private static IReadOnlyList<ReadOnlyMemory<byte>>? t_read;

    /// <summary>For calls: unmarked types are refused.</summary>
    public static JsonSerializerOptions Call { get; } = Create(strict: true);

    /// <summary>For grain storage: readable, and lenient, as the storage providers of Orleans are.</summary>
    public static JsonSerializerOptions Stored { get; } = Create(strict: false);

    /// <summary>Until the scope is disposed, this thread collects byte arrays into the list.</summary>
    public static SegmentScope Writing(List<ReadOnlyMemory<byte>> segments)
    {
        var scope = new SegmentScope(t_written, t_read);
        t_written = segments;
        return scope;
    }

    /// <summary>Until the scope is disposed, this thread finds byte arrays in the list.</summary>
    public static SegmentScope Reading(IReadOnlyList<ReadOnlyMemory<byte>> segments)
    {
        var scope = new SegmentScope(t_written, t_read);
        t_read = segments;
        return scope;
    }

    private static JsonSerializerOptions Create(bool strict)
    {
        var options = new JsonSerializerOptions
        {
            IncludeFields = true,
            WriteIndented = !strict,
            NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
            TypeInfoResolver = new DefaultJsonTypeInfoResolver { Modifiers = { info => UseMarkedMembers(info, strict) } },
            Converters =
            {
                new ByteArrayConverter(),
                new ReadOnlyMemoryConverter(),
                new MemoryConverter(),
                new TextConverter<GrainId>(id => id.ToString(), GrainId.Parse),
                new TextConverter<SiloAddress>(silo => silo.ToParsableString(), SiloAddress.Parse),
                new DictionaryPairsConverter(),
            },
        };
        options.MakeReadOnly();
        return options;
    }

    private static void UseMarkedMembers(JsonTypeInfo info, bool strict)
    {
        var type = info.Type;
        if (info.Kind != JsonTypeInfoKind.Object || IsFrameworkType(type))
            return;
        if (!type.IsDefined(typeof(GenerateSerializerAttribute), inherit: false))
        {
            if (strict)
                throw new NotSupportedException(
                    $"{type} travels in a grain call but is not marked [GenerateSerializer]; mark it and give its members [Id].");
            return;
        }

        info.Properties.Clear();
        foreach (var member in WireMembers.Of(type))
        {
            var property = info.CreateJsonPropertyInfo(member.Type, member.Name);
            property.Get = member.Get;
            property.Set = member.Set;
            info.Properties.Add(property);
        }

        var constructor = type.GetConstructor(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic, Type.EmptyTypes);
        info.CreateObject = constructor is null || type.IsAbstract
            ? () => RuntimeHelpers.GetUninitializedObject(type)
            : () => constructor.Invoke(null);
    }

    private static bool IsFrameworkType(Type type) =>
        type.Assembly == typeof(object).Assembly || type.Assembly.GetName().Name is { } name
            && (name.StartsWith("System.", StringComparison.Ordinal) || name.StartsWith("Microsoft.", StringComparison.Ordinal));

    /// <summary>Restores what the thread did before.</summary>
    public readonly struct SegmentScope(List<ReadOnlyMemory<byte>>? written, IReadOnlyList<ReadOnlyMemory<byte>>? read) : IDisposable
    {
        public void Dispose()
        {
            t_written = written;
            t_read = read;
        }
    }

    private static void WriteBytes(Utf8JsonWriter writer, ReadOnlyMemory<byte> value)
    {
        if (t_written is null)
        {
            writer.WriteBase64StringValue(value.Span);
            return;
        }

        writer.WriteNumberValue(t_written.Count);
        t_written.Add(value);
    }

    private static byte[] ReadBytes(ref Utf8JsonReader reader)
    {
        if (reader.TokenType == JsonTokenType.String)
            return reader.GetBytesFromBase64();
        var index = reader.GetInt32();
        if (t_read is null || index < 0 || index >= t_read.Count)
            throw new JsonException($"The message names byte segment {index}, which it does not have.");
        return t_read[index].ToArray();
    }

    private sealed class ByteArrayConverter : JsonConverter<byte[]>
    {
        public override byte[] Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) => ReadBytes(ref reader);

        public override void Write(Utf8JsonWriter writer, byte[] value, JsonSerializerOptions options) => WriteBytes(writer, value);
    }

    private sealed class ReadOnlyMemoryConverter : JsonConverter<ReadOnlyMemory<byte>>
    {
        public override ReadOnlyMemory<byte> Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) => ReadBytes(ref reader);

        public override void Write(Utf8JsonWriter writer, ReadOnlyMemory<byte> value, JsonSerializerOptions options) => WriteBytes(writer, value);
    }

    private sealed class MemoryConverter : JsonConverter<Memory<byte>>
    {
        public override Memory<byte> Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) => ReadBytes(ref reader);

        public override void Write(Utf8JsonWriter writer, Memory<byte> value, JsonSerializerOptions options) => WriteBytes(writer, value);
    }

    private sealed class TextConverter<T>(Func<T, string> write, Func<string, T> read) : JsonConverter<T>
    {
        public override T Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) => Parse(ref reader);

        public override void Write(Utf8JsonWriter writer, T value, JsonSerializerOptions options) => writer.WriteStringValue(write(value));

        public override T ReadAsPropertyName(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) => Parse(ref reader);

        public override void WriteAsPropertyName(Utf8JsonWriter writer, T value, JsonSerializerOptions options) => writer.WritePropertyName(write(value));

        private T Parse(ref Utf8JsonReader reader)
        {
            var text = reader.GetString() ?? throw new JsonException($"A {typeof(T).Name} is missing.");
            try
            {
                return read(text);
            }
            catch (Exception exception) when (exception is FormatException or ArgumentException)
            {
                throw new JsonException(exception.Message, exception);
            }
        }
    }

    /// <summary>
    /// JSON objects have text keys only. A dictionary with any other kind of key is written as a list of pairs.
    /// </summary>
    private sealed class DictionaryPairsConverter : JsonConverterFactory
    {
        public override bool CanConvert(Type typeToConvert) =>
            typeToConvert.IsGenericType
            && (typeToConvert.GetGenericTypeDefinition() == typeof(Dictionary<,>)
                || typeToConvert.GetGenericTypeDefinition() == typeof(IReadOnlyDictionary<,>)
                || typeToConvert.GetGenericTypeDefinition() == typeof(ImmutableDictionary<,>))
            && !HasTextForm(typeToConvert.GetGenericArguments()[0]);

        public override JsonConverter CreateConverter(Type typeToConvert, JsonSerializerOptions options)
        {
            var definition = typeToConvert.GetGenericTypeDefinition() == typeof(ImmutableDictionary<,>) ? typeof(ImmutablePairs<,>) : typeof(Pairs<,,>);
            var arguments = typeToConvert.GetGenericArguments();
            return (JsonConverter)Activator.CreateInstance(definition == typeof(Pairs<,,>)
                ? definition.MakeGenericType(typeToConvert, arguments[0], arguments[1])
                : definition.MakeGenericType(arguments))!;
        }

        private static bool HasTextForm(Type key) =>
            key.IsPrimitive || key.IsEnum || key == typeof(string) || key == typeof(Guid) || key == typeof(SiloAddress) || key == typeof(GrainId);

        private sealed class Pairs<TDictionary, TKey, TValue> : JsonConverter<TDictionary>
            where TDictionary : class, IReadOnlyDictionary<TKey, TValue>
            where TKey : notnull
        {
            public override TDictionary Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
                (TDictionary)(object)new Dictionary<TKey, TValue>(JsonSerializer.Deserialize<KeyValuePair<TKey, TValue>[]>(ref reader, options) ?? []);

            public override void Write(Utf8JsonWriter writer, TDictionary value, JsonSerializerOptions options) =>
                JsonSerializer.Serialize(writer, value.ToArray(), options);
        }

        private sealed class ImmutablePairs<TKey, TValue> : JsonConverter<ImmutableDictionary<TKey, TValue>>
            where TKey : notnull
        {
            public override ImmutableDictionary<TKey, TValue> Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
                ImmutableDictionary.CreateRange(JsonSerializer.Deserialize<KeyValuePair<TKey, TValue>[]>(ref reader, options) ?? []);

            public override void Write(Utf8JsonWriter writer, ImmutableDictionary<TKey, TValue> value, JsonSerializerOptions options) =>
                JsonSerializer.Serialize(writer, value.ToArray(), options);
        }
    }
}
