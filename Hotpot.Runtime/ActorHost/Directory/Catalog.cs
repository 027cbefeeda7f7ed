using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;

namespace Hotpot.Actors;

/// <summary>The activations of this silo.</summary>
internal sealed partial class Catalog(Silo silo, ILoggerFactory loggers)
{
    private readonly ConcurrentDictionary<GrainId, ActivationContext> _activations = new();
    private readonly ILogger _logger = loggers.CreateLogger("Hotpot.Actors.Catalog");

    public int Count => _activations.Count;

    public ActivationContext? Find(GrainId grain) => _activations.GetValueOrDefault(grain);

    /// <summary>Only after the directory registered the grain here.</summary>
    public ActivationContext GetOrCreate(GrainId grain, GrainClass grainClass) =>
        _activations.GetOrAdd(
            grain,
            static (id, state) => new ActivationContext(state.silo, state.grainClass, id, state._logger),
            (silo, grainClass, _logger));

    /// <summary>
    /// Whether the grain is here. One that is ending is waited for, so that a "no" means that nothing of it runs any
    /// more.
    /// </summary>
    public async Task<bool> HoldsAsync(GrainId grain, CancellationToken cancellationToken)
    {
        if (Find(grain) is not { } activation)
            return false;
        if (!activation.IsEnding)
            return true;
        await activation.Deactivated.WaitAsync(cancellationToken);
        return false;
    }

    public async Task RemoveAsync(ActivationContext activation)
    {
        _activations.TryRemove(KeyValuePair.Create(activation.GrainId, activation));
        silo.ForgetPlace(activation.GrainId);
        try
        {
            using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(1));
            await silo.UnregisterAsync(activation.GrainId, limit.Token);
        }
        catch (Exception exception) when (exception is OrleansException or OperationCanceledException)
        {
            // The entry stays behind. Whoever follows it comes here, finds nothing, and asks the owner, which asks here
            // again.
            LogNotUnregistered(activation.GrainId, exception.Message);
        }
    }

    /// <summary>Ends all activations, and waits for it as long as the token allows.</summary>
    public async Task DeactivateAllAsync(DeactivationReason reason, CancellationToken cancellationToken)
    {
        while (!_activations.IsEmpty)
        {
            var ending = _activations.Values.ToList();
            foreach (var activation in ending)
                activation.Deactivate(reason, CancellationToken.None);
            await Task.WhenAll(ending.Select(activation => activation.Deactivated)).WaitAsync(cancellationToken);
        }
    }

    /// <summary>
    /// Makes the owners of a new snapshot know the activations here; one that is registered elsewhere by now is ended.
    /// </summary>
    public async Task ConfirmAllAsync(ClusterMembershipSnapshot before, ClusterMembershipSnapshot after, CancellationToken cancellationToken)
    {
        foreach (var (grain, activation) in _activations)
        {
            var owner = GrainDirectory.OwnerOf(grain, after);
            if (owner is null || owner.Equals(GrainDirectory.OwnerOf(grain, before)) || activation.IsEnding)
                continue;
            var place = await silo.Directory.RegisterAsync(grain, silo.SiloAddress, cancellationToken);
            if (place is null || place.Equals(silo.SiloAddress))
                continue;
            var reason = new DeactivationReason(DeactivationReasonCode.DuplicateActivation, $"The grain is registered at {place}.");
            activation.Deactivate(reason, CancellationToken.None);
        }
    }

    [LoggerMessage(Level = LogLevel.Debug, Message = "{Grain} could not be taken out of the directory: {Reason}")]
    private partial void LogNotUnregistered(GrainId grain, string reason);
}
