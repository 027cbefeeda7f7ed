using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;

namespace Hotpot.Actors;

/// <summary>Configures a silo.</summary>
public interface ISiloBuilder
{
    IServiceCollection Services { get; }

    IConfiguration Configuration { get; }
}

/// <summary>Configures a client.</summary>
public interface IClientBuilder
{
    IServiceCollection Services { get; }

    IConfiguration Configuration { get; }
}

internal sealed class HostBuilderPart(IServiceCollection services, IConfiguration configuration) : ISiloBuilder, IClientBuilder
{
    public IServiceCollection Services { get; } = services;

    public IConfiguration Configuration { get; } = configuration;
}

public static class SiloBuilderExtensions
{
    public static ISiloBuilder Configure<TOptions>(this ISiloBuilder builder, Action<TOptions> configureOptions)
        where TOptions : class
    {
        builder.Services.Configure(configureOptions);
        return builder;
    }

    public static ISiloBuilder ConfigureServices(this ISiloBuilder builder, Action<IServiceCollection> configureDelegate)
    {
        configureDelegate(builder.Services);
        return builder;
    }

    /// <summary>Embedded host only: the silos of this machine meet in a directory.</summary>
    public static ISiloBuilder UseEmbeddedClustering(this ISiloBuilder builder, string clusterDirectory) =>
        builder.Configure<EmbeddedClusteringOptions>(options => options.Directory = clusterDirectory);

    /// <summary>Embedded host only: grain records are files in the cluster directory.</summary>
    public static ISiloBuilder AddEmbeddedGrainStorage(this ISiloBuilder builder, string name)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(name);
        builder.Services.AddKeyedSingleton<EmbeddedGrainStorage>(name, (services, _) => ActivatorUtilities.CreateInstance<EmbeddedGrainStorage>(services, name));
        return builder;
    }
}

public static class ClientBuilderExtensions
{
    public static IClientBuilder Configure<TOptions>(this IClientBuilder builder, Action<TOptions> configureOptions)
        where TOptions : class
    {
        builder.Services.Configure(configureOptions);
        return builder;
    }

    public static IClientBuilder ConfigureServices(this IClientBuilder builder, Action<IServiceCollection> configureDelegate)
    {
        configureDelegate(builder.Services);
        return builder;
    }

    /// <summary>Embedded host only: the client looks for a living silo in this directory.</summary>
    public static IClientBuilder UseEmbeddedClustering(this IClientBuilder builder, string clusterDirectory) =>
        builder.Configure<EmbeddedClusteringOptions>(options => options.Directory = clusterDirectory);
}
