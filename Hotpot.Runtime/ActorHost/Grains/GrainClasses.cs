using System.Reflection;
using System.Runtime.Loader;

namespace Hotpot.Actors;

/// <summary>One grain class of this process.</summary>
internal sealed class GrainClass
{
    public GrainClass(Type type)
    {
        Type = type;
        var name = type.Name.EndsWith("Grain", StringComparison.Ordinal) && type.Name.Length > 5 ? type.Name[..^5] : type.Name;
        GrainType = GrainType.Create(name.ToLowerInvariant());
        Reentrant = type.IsDefined(typeof(ReentrantAttribute));
        Placement = type.GetCustomAttribute<PlacementAttribute>()?.PlacementStrategy ?? new RandomPlacement();
    }

    public Type Type { get; }

    public GrainType GrainType { get; }

    public bool Reentrant { get; }

    public PlacementStrategy Placement { get; }
}

/// <summary>A grain interface of this process and the class that implements it.</summary>
internal sealed record GrainBinding(InterfaceShape Interface, GrainClass Class);

/// <summary>
/// The grain classes of this process: those in every assembly that is loaded or that the loaded ones refer to, as
/// Orleans finds them. A class counts when it derives from Grain and is not abstract.
/// </summary>
internal sealed class GrainClasses
{
    private readonly Dictionary<string, GrainBinding> _byInterfaceName = new(StringComparer.Ordinal);
    private readonly Dictionary<Type, string> _ambiguous = [];

    public GrainClasses()
    {
        var classes = FindAssemblies().SelectMany(TypesOf)
            .Where(type => type is { IsClass: true, IsAbstract: false, ContainsGenericParameters: false } && type.IsAssignableTo(typeof(Grain)))
            .Select(type => new GrainClass(type))
            .ToList();
        if (classes.GroupBy(found => found.GrainType).FirstOrDefault(group => group.Count() > 1) is { } clash)
            throw new OrleansConfigurationException(
                $"The grain classes {string.Join(" and ", clash.Select(found => found.Type.FullName))} have the same grain type; rename one.");
        foreach (var found in classes)
        {
            var interfaces = found.Type.GetInterfaces()
                .Where(type => type != typeof(IGrainWithStringKey) && type.IsAssignableTo(typeof(IGrainWithStringKey)));
            foreach (var grainInterface in interfaces)
            {
                if (!_byInterfaceName.TryAdd(grainInterface.FullName!, new GrainBinding(InterfaceShape.Of(grainInterface), found)))
                    _ambiguous[grainInterface] = $"{_byInterfaceName[grainInterface.FullName!].Class.Type} and {found.Type}";
            }
        }
    }

    public GrainBinding? Find(string interfaceName) => _byInterfaceName.GetValueOrDefault(interfaceName);

    public GrainBinding Get(InterfaceShape grainInterface)
    {
        if (_ambiguous.TryGetValue(grainInterface.Type, out var classes))
            throw new ArgumentException(
                $"{grainInterface.Type} is implemented by {classes}; ask for an interface that only one class implements.");
        return Find(grainInterface.Name)
            ?? throw new ArgumentException($"No grain class implements {grainInterface.Type}; refer to the assembly that has it.");
    }

    private static IEnumerable<Assembly> FindAssemblies()
    {
        var seen = new HashSet<string>(StringComparer.Ordinal);
        var toVisit = new Stack<Assembly>(AppDomain.CurrentDomain.GetAssemblies().Where(assembly => !assembly.IsDynamic));
        while (toVisit.TryPop(out var assembly))
        {
            if (!seen.Add(assembly.FullName!) || IsFramework(assembly.GetName()))
                continue;
            yield return assembly;
            foreach (var name in assembly.GetReferencedAssemblies().Where(name => !IsFramework(name)))
            {
                if (TryLoad(assembly, name) is { } referred)
                    toVisit.Push(referred);
            }
        }
    }

    private static Assembly? TryLoad(Assembly referrer, AssemblyName name)
    {
        try
        {
            return AssemblyLoadContext.GetLoadContext(referrer)?.LoadFromAssemblyName(name);
        }
        catch (IOException)
        {
            // A reference that is not deployed, as of a tool: no grain can be in it.
            return null;
        }
    }

    private static IEnumerable<Type> TypesOf(Assembly assembly)
    {
        try
        {
            return assembly.GetTypes();
        }
        catch (ReflectionTypeLoadException exception)
        {
            return exception.Types.OfType<Type>();
        }
    }

    private static bool IsFramework(AssemblyName name) => name.Name is not { } simple
        || simple is "System" or "mscorlib" or "netstandard"
        || simple.StartsWith("System.", StringComparison.Ordinal)
        || simple.StartsWith("Microsoft.", StringComparison.Ordinal);
}
