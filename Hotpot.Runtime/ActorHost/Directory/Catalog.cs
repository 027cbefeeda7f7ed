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

    /// <summary>After the directory has named this silo; the activation confirms that before it runs.</summary>
    public ActivationContext GetOrCreate(GrainId grain, GrainClass grainClass) =>
        _activations.GetOrAdd(
            grain,
            static (id, state) => new ActivationContext(state.silo, state.grainClass, id, state._logger),
            (silo, grainClass, _logger));

    /// <summary>
    /// What the activation here claims; null when there is none. One that is ending is waited for, so that null means that
    /// nothing of it runs any more; one that ends before it may run never runs, and may be waiting for the one who asks.
    /// </summary>
    public async Task<long?> ClaimAsync(GrainId grain, CancellationToken cancellationToken)
    {
        if (Find(grain) is not { } activation)
            return null;
        if (!activation.IsEnding)
            return activation.Claim;
        if (activation.MayRun)
            await activation.Deactivated.WaitAsync(cancellationToken);
        return null;
    }

    public async Task RemoveAsync(ActivationContext activation)
    {
        silo.ForgetPlace(activation.GrainId);
        try
        {
            using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(1));
            await silo.UnregisterAsync(activation.GrainId, limit.Token);
        }
        catch (Exception exception) when (exception is OrleansException or OperationCanceledException)
        {
            // The entry stays behind. Whoever follows it comes here, and a new activation begins here.
            LogNotUnregistered(activation.GrainId, exception.Message);
        }

        // Last, so that this cannot take away the entry of the next activation here.
        _activations.TryRemove(KeyValuePair.Create(activation.GrainId, activation));
    }

    /// <summary>Ends all activations, and does not wait for what they have begun.</summary>
    public void BeginDeactivateAll(DeactivationReason reason)
    {
        foreach (var activation in _activations.Values)
            activation.Deactivate(reason, CancellationToken.None);
    }

    /// <summary>Ends all activations, and waits for it as long as the token allows.</summary>
    public async Task DeactivateAllAsync(DeactivationReason reason, CancellationToken cancellationToken)
    {
        while (!_activations.IsEmpty)
        {
            var ending = _activations.Values.ToList();
            BeginDeactivateAll(reason);
            await Task.WhenAll(ending.Select(activation => activation.Deactivated)).WaitAsync(cancellationToken);
        }
    }

    /// <summary>
    /// Makes the owners of a new snapshot know the activations here, so that they need not ask around; one that an owner knows
    /// elsewhere is ended.
    /// </summary>
    public async Task ConfirmAllAsync(ClusterMembershipSnapshot before, ClusterMembershipSnapshot after, CancellationToken cancellationToken)
    {
        foreach (var (grain, activation) in _activations)
        {
            var owner = GrainDirectory.OwnerOf(grain, after);
            if (owner is null || owner.Equals(GrainDirectory.OwnerOf(grain, before)) || activation.IsEnding || activation.Claim == 0)
                continue;
            if (await silo.Directory.RegisterAsync(grain, silo.SiloAddress, cancellationToken) is not { Silo: { } place } answer)
                continue;
            if (place.Equals(silo.SiloAddress))
            {
                activation.Claim = answer.Version;
                continue;
            }

            var reason = new DeactivationReason(DeactivationReasonCode.DuplicateActivation, $"The grain is registered at {place}.");
            activation.Deactivate(reason, CancellationToken.None);
        }
    }

    [LoggerMessage(Level = LogLevel.Debug, Message = "{Grain} could not be taken out of the directory: {Reason}")]
    private partial void LogNotUnregistered(GrainId grain, string reason);
}
