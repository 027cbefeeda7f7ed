using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;

namespace Hotpot.Actors;

/// <summary>Puts a silo or a client into a Generic Host.</summary>
public static class GenericHostExtensions
{
    public static IHostApplicationBuilder UseOrleans(this IHostApplicationBuilder hostAppBuilder, Action<ISiloBuilder> configureDelegate)
    {
        ArgumentNullException.ThrowIfNull(hostAppBuilder);
        AddSilo(hostAppBuilder.Services, hostAppBuilder.Configuration, configureDelegate);
        return hostAppBuilder;
    }

    public static HostApplicationBuilder UseOrleans(this HostApplicationBuilder hostAppBuilder, Action<ISiloBuilder> configureDelegate)
    {
        ArgumentNullException.ThrowIfNull(hostAppBuilder);
        AddSilo(hostAppBuilder.Services, hostAppBuilder.Configuration, configureDelegate);
        return hostAppBuilder;
    }

    public static IHostBuilder UseOrleans(this IHostBuilder hostBuilder, Action<ISiloBuilder> configureDelegate) =>
        hostBuilder.UseOrleans((_, silo) => configureDelegate(silo));

    public static IHostBuilder UseOrleans(this IHostBuilder hostBuilder, Action<HostBuilderContext, ISiloBuilder> configureDelegate) =>
        hostBuilder.ConfigureServices((context, services) =>
            AddSilo(services, context.Configuration, silo => configureDelegate(context, silo)));

    public static IHostApplicationBuilder UseOrleansClient(this IHostApplicationBuilder hostAppBuilder, Action<IClientBuilder> configureDelegate)
    {
        ArgumentNullException.ThrowIfNull(hostAppBuilder);
        AddClient(hostAppBuilder.Services, hostAppBuilder.Configuration, configureDelegate);
        return hostAppBuilder;
    }

    public static HostApplicationBuilder UseOrleansClient(this HostApplicationBuilder hostAppBuilder, Action<IClientBuilder> configureDelegate)
    {
        ArgumentNullException.ThrowIfNull(hostAppBuilder);
        AddClient(hostAppBuilder.Services, hostAppBuilder.Configuration, configureDelegate);
        return hostAppBuilder;
    }

    public static IHostBuilder UseOrleansClient(this IHostBuilder hostBuilder, Action<IClientBuilder> configureDelegate) =>
        hostBuilder.ConfigureServices((context, services) => AddClient(services, context.Configuration, configureDelegate));

    private static void AddSilo(IServiceCollection services, IConfiguration configuration, Action<ISiloBuilder> configure)
    {
        ArgumentNullException.ThrowIfNull(configure);
        if (services.Any(service => service.ServiceType == typeof(ClientRuntime)))
            throw new OrleansConfigurationException(
                "One host cannot be a silo and a client; a silo has its own IClusterClient, so remove UseOrleansClient.");
        if (services.All(service => service.ServiceType != typeof(Silo)))
        {
            services.AddOptions();
            services.AddSingleton<Silo>();
            services.AddHostedService<SiloHostedService>();
            services.AddSingleton<IGrainFactory>(provider => provider.GetRequiredService<Silo>().GrainFactory);
            services.AddSingleton<IClusterClient>(provider => provider.GetRequiredService<Silo>().GrainFactory);
            services.AddSingleton<IClusterMembershipService>(provider => provider.GetRequiredService<Silo>().Membership);
            services.AddSingleton<ILocalSiloDetails>(provider => provider.GetRequiredService<Silo>());
            services.AddPlacementDirector<RandomPlacement, RandomPlacementDirector>();
            services.AddPlacementDirector<PreferLocalPlacement, PreferLocalPlacementDirector>();
            services.AddPlacementDirector<HashBasedPlacement, HashBasedPlacementDirector>();
        }

        configure(new HostBuilderPart(services, configuration));
    }

    private static void AddClient(IServiceCollection services, IConfiguration configuration, Action<IClientBuilder> configure)
    {
        ArgumentNullException.ThrowIfNull(configure);
        if (services.Any(service => service.ServiceType == typeof(Silo)))
            throw new OrleansConfigurationException(
                "One host cannot be a silo and a client; a silo has its own IClusterClient, so remove UseOrleansClient.");
        services.AddOptions();
        services.TryAddSingleton<ClientRuntime>();
        services.AddHostedService<ClientHostedService>();
        services.TryAddSingleton<IGrainFactory>(provider => provider.GetRequiredService<ClientRuntime>().GrainFactory);
        services.TryAddSingleton<IClusterClient>(provider => provider.GetRequiredService<ClientRuntime>().GrainFactory);
        configure(new HostBuilderPart(services, configuration));
    }
}
