namespace Hotpot.Actors;

/// <summary>Makes references to grains. A reference costs nothing until it is called, and never goes stale.</summary>
public interface IGrainFactory
{
    TGrainInterface GetGrain<TGrainInterface>(string primaryKey, string? grainClassNamePrefix = null)
        where TGrainInterface : IGrainWithStringKey;

    IGrain GetGrain(Type grainInterfaceType, string grainPrimaryKey);
}

/// <summary>
/// The way to the grains from outside them: in a silo its own, elsewhere a connection to any live silo.
/// </summary>
public interface IClusterClient : IGrainFactory
{
    IServiceProvider ServiceProvider { get; }
}
