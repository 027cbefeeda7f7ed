namespace Hotpot.Silo;

/// <summary>How a Hotpot silo finds the others, and where its grains keep their state: on this host, in the cluster directory.</summary>
public static class HotpotClustering
{
    public const string HostName = "Embedded";

    public static ISiloBuilder UseHotpotClustering(this ISiloBuilder builder, HotpotOptions options)
    {
        if (string.IsNullOrEmpty(options.ClusterDirectory))
            throw new HotpotConfigurationException(
                $"{SettingNames.Explain(nameof(options.ClusterDirectory))} is missing; name the directory in which the silos of this machine meet.");
        builder.UseEmbeddedClustering(options.ClusterDirectory);
        builder.AddEmbeddedGrainStorage(HotpotGrainsOptions.StorageName);
        return builder.Configure<ClusterOptions>(cluster =>
        {
            cluster.ClusterId = options.ClusterId;
            cluster.ServiceId = options.ServiceId;
        });
    }

    public static IClientBuilder UseHotpotClustering(this IClientBuilder builder, HotpotOptions options)
    {
        if (string.IsNullOrEmpty(options.ClusterDirectory))
            throw new HotpotConfigurationException(
                $"{SettingNames.Explain(nameof(options.ClusterDirectory))} is missing; name the cluster directory of the silos.");
        builder.UseEmbeddedClustering(options.ClusterDirectory);
        return builder.Configure<ClusterOptions>(cluster =>
        {
            cluster.ClusterId = options.ClusterId;
            cluster.ServiceId = options.ServiceId;
        });
    }
}
