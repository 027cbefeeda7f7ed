namespace Hotpot.Actors;

/// <summary>Something that can be called by its identity: a grain, or a reference to one.</summary>
public interface IAddressable;

/// <summary>The base of every grain interface.</summary>
public interface IGrain : IAddressable;

/// <summary>A grain whose key is a string. The embedded host knows no other kind.</summary>
public interface IGrainWithStringKey : IGrain;

/// <summary>What the host needs of a grain class.</summary>
public interface IGrainBase
{
    IGrainContext GrainContext { get; }

    Task OnActivateAsync(CancellationToken token) => Task.CompletedTask;

    Task OnDeactivateAsync(DeactivationReason reason, CancellationToken token) => Task.CompletedTask;
}

/// <summary>The base of every grain class. Its context is there from the constructor on.</summary>
public abstract class Grain : IGrainBase, IAddressable
{
    protected Grain()
        : this(ActivationContext.Creating ?? throw new InvalidOperationException(
            "A grain was constructed outside the host; call it through IGrainFactory.GetGrain instead."))
    {
    }

    protected Grain(IGrainContext grainContext) => GrainContext = grainContext;

    public IGrainContext GrainContext { get; }

    public string IdentityString => GrainContext.GrainId.ToString();

    protected IGrainFactory GrainFactory =>
        (IGrainFactory?)ServiceProvider.GetService(typeof(IGrainFactory))
        ?? throw new InvalidOperationException("The grain's services have no IGrainFactory; start the silo with UseOrleans.");

    protected internal IServiceProvider ServiceProvider => GrainContext.ActivationServices;

    /// <summary>
    /// Runs before the first request. An exception here fails the requests that wait, and the activation goes.
    /// </summary>
    public virtual Task OnActivateAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <summary>Runs after the last request. It does not run when the process dies.</summary>
    public virtual Task OnDeactivateAsync(DeactivationReason reason, CancellationToken cancellationToken) => Task.CompletedTask;

    /// <summary>Ends this activation as soon as the requests it has started are done.</summary>
    protected void DeactivateOnIdle() => GrainContext.Deactivate(
        new DeactivationReason(DeactivationReasonCode.ApplicationRequested, $"{nameof(DeactivateOnIdle)} was called."));
}

/// <summary>What can be asked of a grain or of a reference to one.</summary>
public static class GrainExtensions
{
    public static GrainId GetGrainId(this IAddressable grain) => grain switch
    {
        Grain instance => instance.GrainContext.GrainId,
        GrainReference reference => reference.GrainId,
        null => throw new ArgumentNullException(nameof(grain)),
        _ => throw new ArgumentException($"{grain.GetType()} is neither a grain nor a reference to one.", nameof(grain)),
    };

    public static string GetPrimaryKeyString(this IAddressable grain) => grain.GetGrainId().Key.ToString();

    /// <summary>A reference to the grain, which may be passed to others in place of the grain object itself.</summary>
    public static TGrainInterface AsReference<TGrainInterface>(this IAddressable grain)
        where TGrainInterface : IGrainWithStringKey => grain switch
        {
            Grain instance => ((ActivationContext)instance.GrainContext).Factory.GetGrain<TGrainInterface>(grain.GetPrimaryKeyString()),
            GrainReference reference => reference.Factory.GetGrain<TGrainInterface>(grain.GetPrimaryKeyString()),
            null => throw new ArgumentNullException(nameof(grain)),
            _ => throw new ArgumentException($"{grain.GetType()} is neither a grain nor a reference to one.", nameof(grain)),
        };
}
