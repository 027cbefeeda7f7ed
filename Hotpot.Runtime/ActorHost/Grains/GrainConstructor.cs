using System.Reflection;
using Microsoft.Extensions.DependencyInjection;

namespace Hotpot.Actors;

/// <summary>Constructs a grain from its services, its context and its stored records.</summary>
internal static class GrainConstructor
{
    /// <summary>
    /// The constructor to run while the activation is current, and the records to read before OnActivateAsync.
    /// </summary>
    public static (Func<object> Construct, IReadOnlyList<IStorage> Facets) Prepare(ActivationContext context)
    {
        var type = context.Class.Type;
        var parameters = type.GetConstructors().OrderByDescending(constructor => constructor.GetParameters().Length).FirstOrDefault()?.GetParameters()
            ?? throw new InvalidOperationException($"{type} has no public constructor; give it one.");
        var given = new List<object>();
        var facets = new List<IStorage>();
        foreach (var parameter in parameters)
        {
            if (parameter.GetCustomAttribute<PersistentStateAttribute>() is { } attribute)
            {
                var facet = CreateFacet(context, parameter, attribute);
                facets.Add(facet);
                given.Add(facet);
            }
            else if (parameter.ParameterType == typeof(IGrainContext))
            {
                given.Add(context);
            }
        }

        return (() => ActivatorUtilities.CreateInstance(context.ActivationServices, type, [.. given]), facets);
    }

    private static IStorage CreateFacet(ActivationContext context, ParameterInfo parameter, PersistentStateAttribute attribute)
    {
        if (!parameter.ParameterType.IsGenericType || parameter.ParameterType.GetGenericTypeDefinition() != typeof(IPersistentState<>))
            throw new InvalidOperationException(
                $"The parameter {parameter.Name} of {context.Class.Type} has [PersistentState] but is no IPersistentState<T>; make it one.");
        var name = attribute.StorageName ?? "Default";
        var storage = context.ActivationServices.GetKeyedService<EmbeddedGrainStorage>(name)
            ?? throw new OrleansConfigurationException(
                $"{context.Class.Type} wants the grain storage \"{name}\"; add it with AddEmbeddedGrainStorage(\"{name}\").");
        var facet = typeof(PersistentState<>).MakeGenericType(parameter.ParameterType.GetGenericArguments());
        return (IStorage)Activator.CreateInstance(facet, storage, attribute.StateName, context.GrainId)!;
    }
}
