namespace Hotpot.Actors;

/// <summary>Takes the calls that are made in this process to where the grain is.</summary>
internal interface ICallRouter
{
    TimeSpan ResponseTimeout { get; }

    /// <summary>
    /// The identity behind a reference. A silo knows the grain classes; a client goes by the name of the interface.
    /// </summary>
    GrainId Resolve(InterfaceShape grainInterface, string key);

    void Start(OutgoingCall call);
}

/// <inheritdoc cref="IGrainFactory"/>
internal sealed class GrainFactory(ICallRouter router, CallClock clock, IServiceProvider services) : IClusterClient
{
    public IServiceProvider ServiceProvider { get; } = services;

    public TimeSpan ResponseTimeout => router.ResponseTimeout;

    public TGrainInterface GetGrain<TGrainInterface>(string primaryKey, string? grainClassNamePrefix = null)
        where TGrainInterface : IGrainWithStringKey
    {
        if (grainClassNamePrefix is not null)
            throw new NotSupportedException(
                "The embedded actor host chooses a grain's class by its interface only; give each class its own interface.");
        return (TGrainInterface)GetGrain(typeof(TGrainInterface), primaryKey);
    }

    public IGrain GetGrain(Type grainInterfaceType, string grainPrimaryKey)
    {
        ArgumentNullException.ThrowIfNull(grainInterfaceType);
        ArgumentException.ThrowIfNullOrWhiteSpace(grainPrimaryKey);
        var shape = InterfaceShape.Of(grainInterfaceType);
        return (IGrain)GrainReference.Create(this, shape, router.Resolve(shape, grainPrimaryKey));
    }

    public void Start(OutgoingCall call)
    {
        if (!call.Begin(clock, router.ResponseTimeout))
            return;
        try
        {
            router.Start(call);
        }
        catch (Exception exception) when (exception is OrleansException or NotSupportedException or ArgumentException or System.Text.Json.JsonException)
        {
            // Arguments that cannot travel, or a message that is too large: the caller's task says so.
            call.Fail(exception);
        }
    }
}
