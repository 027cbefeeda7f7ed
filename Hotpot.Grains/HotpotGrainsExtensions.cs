using Hotpot.Grains.Acquire;
using Hotpot.Grains.Commit;
using Hotpot.Grains.Membership;
using Hotpot.Grains.Node;
using Hotpot.Grains.Owner;
using Hotpot.Grains.Placement;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;

namespace Hotpot.Grains;

/// <summary>Adds Hotpot's grains and this silo's node to a silo.</summary>
public static class HotpotGrainsExtensions
{
    /// <summary>
    /// The caller provides the <see cref="Engine"/> as a singleton, names the silo <see cref="GrainKeys.SiloName"/> of its node, and registers a grain
    /// storage under <see cref="HotpotGrainsOptions.StorageName"/>.
    /// </summary>
    public static ISiloBuilder AddHotpotGrains(this ISiloBuilder builder, Action<HotpotGrainsOptions>? configure = null)
    {
        builder.AddPlacementDirector<OnNodePlacement, OnNodePlacementDirector>();
        IServiceCollection services = builder.Services;
        services.AddOptions<HotpotGrainsOptions>();
        if (configure is not null)
            services.Configure(configure);
        services.TryAddSingleton(TimeProvider.System);
        services.TryAddSingleton<IClusterView, ClusterView>();
        services.TryAddSingleton<INodeEngine>(provider => new NativeNodeEngine(provider.GetRequiredService<Engine>()));
        services.TryAddSingleton<NodeLifetime>();
        services.TryAddSingleton<IGrantHolders, GrantHolders>();
        services.TryAddSingleton<DatasetRegistry>();
        services.TryAddSingleton(provider => new Acquirer(
            provider.GetRequiredService<INodeEngine>().Identity, provider.GetRequiredService<IGrainFactory>(),
            provider.GetRequiredService<DatasetRegistry>(), provider.GetRequiredService<NodeLifetime>(), provider.GetRequiredService<TimeProvider>()));
        services.TryAddSingleton<OwnerCommits>();
        services.TryAddSingleton<Committer>();
        services.TryAddSingleton<ICommitter>(provider => provider.GetRequiredService<Committer>());
        services.TryAddSingleton<HotpotNode>();
        services.TryAddSingleton<IHotpotNode>(provider => provider.GetRequiredService<HotpotNode>());
        services.AddSingleton<ILifecycleParticipant<ISiloLifecycle>>(provider => provider.GetRequiredService<HotpotNode>());
        return builder;
    }
}
