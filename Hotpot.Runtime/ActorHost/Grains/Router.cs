using System.Collections.Concurrent;
using Microsoft.Extensions.DependencyInjection;

namespace Hotpot.Actors;

/// <summary>
/// Takes calls to the activation of their grain. Until a call is handed to an activation or to a connection it may be
/// turned around as often as needed; from then on it is never sent again.
/// </summary>
internal sealed class Router(Silo silo) : IPlacementContext
{
    // A call passed on more often than this chases a grain that moves faster than the call.
    private const int MaxHops = 8;

    // Beyond this the memory of places is dropped and learnt anew.
    private const int MaxPlaces = 100_000;

    private static readonly TimeSpan LookAgainAfter = TimeSpan.FromMilliseconds(20);

    private readonly ConcurrentDictionary<GrainId, SiloAddress> _places = new();

    // The searches that are under way: a burst of calls to one grain asks the directory once.
    private readonly ConcurrentDictionary<GrainId, Lazy<Task<SiloAddress?>>> _searches = new();

    public SiloAddress LocalSilo => silo.SiloAddress;

    public SiloStatus LocalSiloStatus => silo.Membership.CurrentSnapshot.GetSiloStatus(silo.SiloAddress);

    public SiloAddress[] GetCompatibleSilos(PlacementTarget target)
    {
        var active = silo.Membership.CurrentSnapshot.Members.Values
            .Where(member => member.Status == SiloStatus.Active)
            .Select(member => member.SiloAddress)
            .ToArray();
        return active.Length > 0 ? active : throw new SiloUnavailableException(
            $"No silo is active that could take {target.GrainIdentity}; start one, or wait until one has started.");
    }

    public void Learn(GrainId grain, SiloAddress place)
    {
        if (place.Equals(silo.SiloAddress) || (_places.TryGetValue(grain, out var known) && known.Equals(place)))
            return;
        if (_places.Count > MaxPlaces)
            _places.Clear();
        _places[grain] = place;
    }

    public void Forget(GrainId grain) => _places.TryRemove(grain, out _);

    public void Dispatch(RoutableCall call, bool runHere)
    {
        if (silo.HasStopped)
        {
            call.Fail(new SiloUnavailableException($"Silo {silo.Name} has stopped and makes no calls any more; call in another one."));
            return;
        }

        if (silo.IsFenced)
        {
            call.Fail(new SiloUnavailableException(
                $"The silo {silo.SiloAddress} was declared dead and fenced itself; restart its process."));
            return;
        }

        if (silo.Catalog.Find(call.GrainId) is { } activation && Deliver(call, activation, runHere))
            return;
        if (call.Hops == 0
            && _places.TryGetValue(call.GrainId, out var place)
            && silo.Membership.CurrentSnapshot.Members.TryGetValue(place, out var member)
            && member.Status == SiloStatus.Active
            && silo.Connections.TryGet(place) is { } connection)
            call.SendTo(connection);
        else
            _ = DispatchSlowlyAsync(call, runHere);
    }

    private static bool Deliver(RoutableCall call, ActivationContext activation, bool runHere)
    {
        if (call is OutgoingCall { } own)
            own.PrepareLocal();
        return activation.TryEnqueue(call, runHere);
    }

    private async Task DispatchSlowlyAsync(RoutableCall call, bool runHere)
    {
        var remaining = CallClock.Until(call.Deadline);
        using var limit = new CancellationTokenSource(remaining > TimeSpan.Zero ? remaining : TimeSpan.Zero);
        try
        {
            if (call.Hops > MaxHops)
                throw new OrleansException($"{call.Name} was passed on {call.Hops} times and did not reach its grain; call again.");
            var useMemory = call.Hops == 0;
            while (true)
            {
                if (silo.Catalog.Find(call.GrainId) is { } activation)
                {
                    if (Deliver(call, activation, runHere))
                        return;
                    await activation.Deactivated.WaitAsync(limit.Token).ConfigureAwait(false);
                    continue;
                }

                if (await LocateAsync(call, useMemory, limit.Token).ConfigureAwait(false) is not { } place)
                {
                    await Task.Delay(LookAgainAfter, limit.Token).ConfigureAwait(false);
                    continue;
                }

                if (place.Equals(silo.SiloAddress))
                {
                    if (Deliver(call, silo.Catalog.GetOrCreate(call.GrainId, call.Class!), runHere))
                        return;
                    continue;
                }

                Connection connection;
                try
                {
                    connection = await silo.Connections.GetAsync(place, limit.Token).ConfigureAwait(false);
                }
                catch (SiloUnavailableException)
                {
                    // Nothing was sent. The place is dying or about to be declared dead, and then the grain is placed
                    // anew.
                    useMemory = false;
                    Forget(call.GrainId);
                    silo.Membership.CheckNow();
                    await Task.Delay(LookAgainAfter, limit.Token).ConfigureAwait(false);
                    continue;
                }

                call.SendTo(connection);
                return;
            }
        }
        catch (OperationCanceledException) when (limit.IsCancellationRequested)
        {
            call.Expire();
        }
        catch (Exception exception)
        {
            call.Fail(exception);
        }
    }

    /// <summary>Where the grain is, or where it is to be; null when that cannot be said just now.</summary>
    private async Task<SiloAddress?> LocateAsync(RoutableCall call, bool useMemory, CancellationToken cancellationToken)
    {
        var grain = call.GrainId;
        if (useMemory && _places.TryGetValue(grain, out var known) && silo.Membership.CurrentSnapshot.GetSiloStatus(known) == SiloStatus.Active)
            return known;
        var search = _searches.GetOrAdd(
            grain,
            static (id, state) => new Lazy<Task<SiloAddress?>>(() => state.router.SearchAsync(id, state.grainClass)),
            (router: this, grainClass: call.Class!));
        return await search.Value.WaitAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <summary>
    /// Proposes a place and asks the owner of the grain. It outlives the call that began it, since others may wait for
    /// it too.
    /// </summary>
    private async Task<SiloAddress?> SearchAsync(GrainId grain, GrainClass grainClass)
    {
        try
        {
            using var limit = new CancellationTokenSource(silo.ResponseTimeout);
            var strategy = grainClass.Placement;
            var director = silo.Services.GetKeyedService<IPlacementDirector>(strategy.GetType())
                ?? throw new OrleansConfigurationException(
                    $"No placement director for {strategy.GetType().Name} is registered; add it with AddPlacementDirector.");
            var proposed = await director.OnAddActivation(strategy, new PlacementTarget(grain), this).ConfigureAwait(false);
            var place = (await silo.Directory.RegisterAsync(grain, proposed, limit.Token).ConfigureAwait(false))?.Silo;
            if (place is not null)
                Learn(grain, place);
            return place;
        }
        finally
        {
            _searches.TryRemove(grain, out _);
        }
    }
}
