using Hotpot.Clients;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Options;

namespace Hotpot.Silo;

/// <summary>Makes a silo a Hotpot node.</summary>
public static class HotpotSiloExtensions
{
    /// <summary>
    /// Adds a Hotpot node to this silo: its engine, its grains and <see cref="IHotpot"/>. Settings come from section "Hotpot" of the
    /// configuration, then from <paramref name="configure"/>. The silo's name becomes the node's, because the nodes of a cluster
    /// know each other by it. Clustering and grain storage are the application's own; see <see cref="HotpotClustering"/>.
    /// </summary>
    public static ISiloBuilder AddHotpot(this ISiloBuilder builder, Action<HotpotOptions>? configure = null)
    {
        IServiceCollection services = builder.Services;
        OptionsBuilder<HotpotOptions> options = services.AddOptions<HotpotOptions>().Bind(builder.Configuration.GetSection(HotpotOptions.Section));
        if (configure is not null)
            options.Configure(configure);
        services.TryAddEnumerable(ServiceDescriptor.Singleton<IValidateOptions<HotpotOptions>, HotpotOptionsValidator>());

        // The engine is started by whoever asks for it first, and that is the silo itself: its name is the node's.
        services.AddSingleton<EngineStarter>();
        services.AddSingleton(provider => provider.GetRequiredService<EngineStarter>().Start());
        services.AddSingleton<IPostConfigureOptions<SiloOptions>, NodeSiloName>();

        builder.AddHotpotGrains();
        services.AddOptions<HotpotGrainsOptions>().Configure<IOptions<HotpotOptions>>((grains, hotpot) =>
        {
            (grains.MigrationInterval, grains.MigrationMinimumPages) = (hotpot.Value.MigrationInterval, hotpot.Value.MigrationMinimumPages);
            if (AddressRegion.TryParse(hotpot.Value.BaseRegion ?? "", out AddressRegion region))
                (grains.RegionStart, grains.RegionEnd) = (region.Start, region.End);
        });
        services.AddHotpotClient();

        services.AddSingleton<SiloState>();
        services.AddHostedService<StatusReporter>();
        services.AddHostedService<HealthListener>();
        return builder;
    }
}

/// <summary>Gives the silo the name that belongs to the node, whatever it was called before.</summary>
internal sealed class NodeSiloName(IServiceProvider provider) : IPostConfigureOptions<SiloOptions>
{
    public void PostConfigure(string? name, SiloOptions options) =>
        options.SiloName = GrainKeys.SiloName(provider.GetRequiredService<Engine>().NodeId);
}
