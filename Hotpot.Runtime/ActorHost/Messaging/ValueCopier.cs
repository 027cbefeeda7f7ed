using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Reflection;
using System.Text.Json;

namespace Hotpot.Actors;

/// <summary>
/// Keeps caller and grain apart when both are in one silo: what one passes, the other gets as a copy, just as over the
/// wire. Values that cannot change, and those marked [Immutable], are passed as they are.
/// </summary>
internal static class ValueCopier
{
    private static readonly ConcurrentDictionary<Type, bool> ImmutableTypes = new();

    public static object? Copy(object? value, Type declared, bool markedImmutable)
    {
        if (value is null || markedImmutable || IsImmutable(value.GetType()))
            return value;
        switch (value)
        {
            case byte[] bytes:
                return bytes.Clone();
            case ReadOnlyMemory<byte> memory:
                return new ReadOnlyMemory<byte>(memory.ToArray());
            default:
                var segments = new List<ReadOnlyMemory<byte>>();
                byte[] json;
                using (WireJson.Writing(segments))
                    json = JsonSerializer.SerializeToUtf8Bytes(value, declared, WireJson.Call);
                using (WireJson.Reading(segments))
                    return JsonSerializer.Deserialize(json, declared, WireJson.Call);
        }
    }

    private static bool IsImmutable(Type type) => ImmutableTypes.GetOrAdd(type, static candidate => Inspect(candidate, 0));

    private static bool Inspect(Type type, int depth)
    {
        if (type.IsPrimitive || type.IsEnum || type == typeof(string) || type == typeof(decimal) || type == typeof(Guid) || type == typeof(DateTime)
            || type == typeof(DateTimeOffset) || type == typeof(TimeSpan) || type == typeof(Uri) || type == typeof(Version) || type == typeof(CancellationToken)
            || type == typeof(SiloAddress) || type == typeof(GrainId) || type == typeof(UInt128) || type == typeof(Int128)
            || type.IsDefined(typeof(ImmutableAttribute), inherit: false))
            return true;
        if (type.IsGenericType && type.GetGenericTypeDefinition() is { } definition
            && (definition == typeof(Nullable<>) || definition == typeof(ImmutableArray<>) || definition == typeof(ImmutableDictionary<,>)))
            return type.GetGenericArguments().All(argument => Inspect(argument, depth + 1));

        // A sealed type without a field that can change or that refers to something that can. The depth bounds types
        // that contain themselves.
        if (depth > 8 || type.IsArray || (!type.IsValueType && !type.IsSealed))
            return false;
        for (var declaring = type; declaring is not null && declaring != typeof(object) && declaring != typeof(ValueType); declaring = declaring.BaseType)
        {
            foreach (var field in declaring.GetFields(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly))
            {
                if ((!type.IsValueType && !field.IsInitOnly) || field.FieldType.IsPointer || !Inspect(field.FieldType, depth + 1))
                    return false;
            }
        }

        return true;
    }
}
