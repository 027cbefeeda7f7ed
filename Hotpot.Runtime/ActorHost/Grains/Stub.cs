namespace Hotpot.Actors;
internal sealed class EmbeddedGrainStorage;
internal sealed class ClientRuntime { public GrainFactory GrainFactory => throw new NotImplementedException(); }
internal sealed class Silo : ILocalSiloDetails { public GrainFactory GrainFactory => throw new NotImplementedException(); public IClusterMembershipService Membership => throw new NotImplementedException();
 public string Name => ""; public string ClusterId => ""; public SiloAddress SiloAddress => SiloAddress.Zero; }
internal sealed class SiloHostedService : Microsoft.Extensions.Hosting.IHostedService { public Task StartAsync(CancellationToken c)=>throw new NotImplementedException();public Task StopAsync(CancellationToken c)=>throw new NotImplementedException(); }
internal sealed class ClientHostedService : Microsoft.Extensions.Hosting.IHostedService { public Task StartAsync(CancellationToken c)=>throw new NotImplementedException();public Task StopAsync(CancellationToken c)=>throw new NotImplementedException(); }
internal abstract class PD : IPlacementDirector { public Task<SiloAddress> OnAddActivation(PlacementStrategy strategy, PlacementTarget target, IPlacementContext context)=>throw new NotImplementedException(); }
internal sealed class RandomPlacementDirector : PD; internal sealed class PreferLocalPlacementDirector : PD; internal sealed class HashBasedPlacementDirector : PD;
internal sealed class GrainFactory : IClusterClient { public IServiceProvider ServiceProvider => throw new NotImplementedException(); public TGrainInterface GetGrain<TGrainInterface>(string primaryKey, string? grainClassNamePrefix = null)
        where TGrainInterface : IGrainWithStringKey => throw new NotImplementedException(); public IGrain GetGrain(Type grainInterfaceType, string grainPrimaryKey)=> throw new NotImplementedException(); }
internal abstract class GrainReference : IAddressable { public GrainId GrainId => throw new NotImplementedException(); public GrainFactory Factory => throw new NotImplementedException(); }
internal sealed class ActivationContext : IGrainContext { internal static ActivationContext? Creating => null; public GrainFactory Factory => throw new NotImplementedException();
 public GrainId GrainId => default; public object? GrainInstance => null; public IServiceProvider ActivationServices => throw new NotImplementedException(); public Task Deactivated => Task.CompletedTask; public void Deactivate(DeactivationReason deactivationReason, CancellationToken cancellationToken = default){} public bool Equals(IGrainContext? o)=>false; }
internal sealed class GrainTimer : IGrainTimer { public GrainTimer(ActivationContext c, Func<CancellationToken,Task> cb, GrainTimerCreationOptions o){} public void Change(TimeSpan a, TimeSpan b){} public void Dispose(){} }
