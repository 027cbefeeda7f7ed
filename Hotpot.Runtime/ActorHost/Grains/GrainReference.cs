using System.Reflection;

namespace Hotpot.Actors;

/// <summary>
/// The base of the proxies that IGrainFactory hands out: it implements the interface by sending every call to the host.
/// </summary>
internal class GrainReference : DispatchProxy, IAddressable, IEquatable<GrainReference>
{
    // Written once, right after construction, since a DispatchProxy has no constructor of its own.
    private GrainFactory? _factory;
    private InterfaceShape? _shape;

    public GrainId GrainId { get; private set; }

    public GrainFactory Factory => _factory!;

    public InterfaceShape Interface => _shape!;

    public static object Create(GrainFactory factory, InterfaceShape shape, GrainId grainId)
    {
        var proxy = Create(shape.Type, typeof(GrainReference));
        var reference = (GrainReference)proxy;
        reference._factory = factory;
        reference._shape = shape;
        reference.GrainId = grainId;
        return proxy;
    }

    public bool Equals(GrainReference? other) => other is not null && GrainId == other.GrainId;

    public override bool Equals(object? obj) => Equals(obj as GrainReference);

    public override int GetHashCode() => GrainId.GetHashCode();

    public override string ToString() => $"{Interface.Type.Name}({GrainId})";

    protected override object? Invoke(MethodInfo? targetMethod, object?[]? args)
    {
        var (call, returned) = Interface[targetMethod!].NewCall(this, args ?? []);
        Factory.Start(call);
        return returned;
    }
}
