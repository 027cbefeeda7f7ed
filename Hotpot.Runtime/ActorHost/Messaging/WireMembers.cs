using System.Collections.Concurrent;
using System.Reflection;

namespace Hotpot.Actors;

/// <summary>One member of a type that travels.</summary>
internal sealed record WireMember(string Name, Type Type, Func<object, object?> Get, Action<object, object?> Set);

/// <summary>Finds the members of a type that travel: those with [Id], and the positional members of a record.</summary>
internal static class WireMembers
{
    private const BindingFlags Declared = BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly;

    private static readonly ConcurrentDictionary<Type, WireMember[]> Cache = new();

    public static WireMember[] Of(Type type) => Cache.GetOrAdd(type, Find);

    private static WireMember[] Find(Type type)
    {
        var members = new List<WireMember>();
        for (var declaring = type; declaring is not null && declaring != typeof(object) && declaring != typeof(Exception); declaring = declaring.BaseType)
        {
            var positional = PositionalNames(declaring);
            foreach (var property in declaring.GetProperties(Declared))
            {
                if (property.IsDefined(typeof(IdAttribute)) || positional.Contains(property.Name))
                    members.Add(FromProperty(declaring, property));
            }

            members.AddRange(declaring.GetFields(Declared)
                .Where(field => field.IsDefined(typeof(IdAttribute)))
                .Select(field => new WireMember(field.Name, field.FieldType, field.GetValue, field.SetValue)));
        }

        return [.. members.DistinctBy(member => member.Name)];
    }

    private static HashSet<string> PositionalNames(Type type)
    {
        var isRecord = type.GetMethod("PrintMembers", Declared) is not null;
        var wanted = isRecord || type.GetCustomAttribute<GenerateSerializerAttribute>(inherit: false) is { IncludePrimaryConstructorParameters: true };
        if (!wanted)
            return [];
        var names = type.GetConstructors(Declared)
            .Select(constructor => constructor.GetParameters())
            .Where(parameters => parameters.Length > 0 && parameters.All(IsProperty))
            .MaxBy(parameters => parameters.Length);
        return names is null ? [] : [.. names.Select(parameter => parameter.Name!)];

        bool IsProperty(ParameterInfo parameter) =>
            parameter.Name is { } name && type.GetProperty(name, Declared)?.PropertyType == parameter.ParameterType;
    }

    private static WireMember FromProperty(Type declaring, PropertyInfo property)
    {
        if (property.GetMethod is null)
            throw new NotSupportedException($"{declaring}.{property.Name} has [Id] but cannot be read; give it a getter.");
        if (property.SetMethod is { } setter)
            return new WireMember(property.Name, property.PropertyType, property.GetValue, (target, value) => setter.Invoke(target, [value]));
        var field = declaring.GetField($"<{property.Name}>k__BackingField", Declared)
            ?? throw new NotSupportedException(
                $"{declaring}.{property.Name} has [Id] but cannot be set; give it a setter or make it an automatic property.");
        return new WireMember(property.Name, property.PropertyType, property.GetValue, field.SetValue);
    }
}
