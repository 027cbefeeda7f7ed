using Microsoft.Extensions.DependencyInjection;

namespace Hotpot.Actors;

/// <summary>
/// How the silo for a new activation is chosen. A strategy is data; its <see cref="IPlacementDirector"/> decides.
/// </summary>
public abstract class PlacementStrategy;

/// <summary>Gives a grain class its strategy.</summary>
[AttributeUsage(AttributeTargets.Class, AllowMultiple = false)]
public abstract class PlacementAttribute : Attribute
{
    protected PlacementAttribute(PlacementStrategy placement)
    {
        ArgumentNullException.ThrowIfNull(placement);
        PlacementStrategy = placement;
    }

    public PlacementStrategy PlacementStrategy { get; }
}

/// <summary>The grain that is to be placed.</summary>
public readonly struct PlacementTarget(GrainId grainIdentity)
{
    public GrainId GrainIdentity { get; } = grainIdentity;
}

/// <summary>What a director may know of the cluster.</summary>
public interface IPlacementContext
{
    SiloAddress LocalSilo { get; }

    SiloStatus LocalSiloStatus { get; }

    SiloAddress[] GetCompatibleSilos(PlacementTarget target);
}

/// <summary>Chooses the silo for a new activation. An exception goes to the caller of the grain.</summary>
public interface IPlacementDirector
{
    Task<SiloAddress> OnAddActivation(PlacementStrategy strategy, PlacementTarget target, IPlacementContext context);
}

/// <summary>Any active silo: what a grain class without an attribute gets.</summary>
public sealed class RandomPlacement : PlacementStrategy;

/// <summary>The calling silo, when it is active.</summary>
public sealed class PreferLocalPlacement : PlacementStrategy;

/// <summary>The silo that the hash of the identity falls on.</summary>
public sealed class HashBasedPlacement : PlacementStrategy;

[AttributeUsage(AttributeTargets.Class, AllowMultiple = false)]
public sealed class RandomPlacementAttribute() : PlacementAttribute(new RandomPlacement());

[AttributeUsage(AttributeTargets.Class, AllowMultiple = false)]
public sealed class PreferLocalPlacementAttribute() : PlacementAttribute(new PreferLocalPlacement());

[AttributeUsage(AttributeTargets.Class, AllowMultiple = false)]
public sealed class HashBasedPlacementAttribute() : PlacementAttribute(new HashBasedPlacement());

/// <summary>Registers directors.</summary>
public static class PlacementStrategyExtensions
{
    public static ISiloBuilder AddPlacementDirector<TStrategy, TDirector>(this ISiloBuilder builder)
        where TStrategy : PlacementStrategy, new()
        where TDirector : class, IPlacementDirector
    {
        builder.Services.AddPlacementDirector<TStrategy, TDirector>();
        return builder;
    }

    public static void AddPlacementDirector<TStrategy, TDirector>(this IServiceCollection services)
        where TStrategy : PlacementStrategy, new()
        where TDirector : class, IPlacementDirector =>
        services.AddKeyedSingleton<IPlacementDirector, TDirector>(typeof(TStrategy));
}
