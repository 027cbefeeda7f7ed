#if HOTPOT_ORLEANS
using System.Net;
using Orleans.Serialization;

namespace Hotpot.Silo;

/// <summary>How a Hotpot silo finds the others, and where its grains keep their state, on Orleans.</summary>
public static class HotpotClustering
{
    public const string HostName = "Orleans";

    /// <summary>
    /// Localhost: for development on one machine; the grains' state, and with it the chunk maps, ends with the last silo. AdoNet: membership
    /// and grain state in one database, for any number of machines.
    /// </summary>
    public static ISiloBuilder UseHotpotClustering(this ISiloBuilder builder, HotpotOptions options)
    {
        builder.Configure<ClusterMembershipOptions>(membership =>
        {
            membership.ProbeTimeout = ProbeTimeout;
            membership.MaxProbeTimeout = MaxProbeTimeout;
        });
        switch (options.Clustering)
        {
            case ClusteringKind.Localhost:
                builder.UseLocalhostClustering(
                    options.SiloPort, options.GatewayPort, new IPEndPoint(IPAddress.Loopback, LocalhostPrimaryPort), options.ServiceId, options.ClusterId);
                builder.AddMemoryGrainStorage(HotpotGrainsOptions.StorageName);
                return builder;
            case ClusteringKind.AdoNet:
                builder.Configure<ClusterOptions>(cluster =>
                {
                    cluster.ClusterId = options.ClusterId;
                    cluster.ServiceId = options.ServiceId;
                });
                builder.UseAdoNetClustering(database =>
                {
                    database.Invariant = options.AdoNetInvariant;
                    database.ConnectionString = options.ConnectionString!;
                });
                builder.AddAdoNetGrainStorage(HotpotGrainsOptions.StorageName, storage => storage.Configure<Serializer>((database, serializer) =>
                {
                    database.Invariant = options.AdoNetInvariant;
                    database.ConnectionString = options.ConnectionString!;
                    // By [Id] and [Alias], like messages. Orleans' default writes the names of classes, and renaming one would lose what is stored.
                    database.GrainStorageSerializer = new OrleansGrainStorageSerializer(serializer);
                }));
                if (string.IsNullOrEmpty(options.AdvertisedAddress))
                    builder.ConfigureEndpoints(options.SiloPort, options.GatewayPort, listenOnAnyHostAddress: true);
                else
                    builder.ConfigureEndpoints(
                        IPAddress.Parse(options.AdvertisedAddress), options.SiloPort, options.GatewayPort, listenOnAnyHostAddress: true);
                return builder;
            default:
                throw new HotpotConfigurationException(
                    $"{SettingNames.Explain(nameof(options.Clustering))} is '{options.Clustering}'; choose Localhost or AdoNet.");
        }
    }

    public static IClientBuilder UseHotpotClustering(this IClientBuilder builder, HotpotOptions options) => options.Clustering switch
    {
        ClusteringKind.Localhost => builder.UseLocalhostClustering(options.GatewayPort, options.ServiceId, options.ClusterId),
        ClusteringKind.AdoNet => builder
            .Configure<ClusterOptions>(cluster =>
            {
                cluster.ClusterId = options.ClusterId;
                cluster.ServiceId = options.ServiceId;
            })
            .UseAdoNetClustering(database =>
            {
                database.Invariant = options.AdoNetInvariant;
                database.ConnectionString = options.ConnectionString!;
            }),
        _ => throw new HotpotConfigurationException(
            $"{SettingNames.Explain(nameof(options.Clustering))} is '{options.Clustering}'; choose Localhost or AdoNet."),
    };

    // Orleans gives up a silo that hangs after NumMissedProbesLimit (3) times the longest probe: 60 seconds by default, longer than
    // a load waits for its page and a commit for its owner. So, 15 seconds; one that dies is given up after two short probes.
    private static readonly TimeSpan ProbeTimeout = TimeSpan.FromMilliseconds(2500);
    private static readonly TimeSpan MaxProbeTimeout = TimeSpan.FromSeconds(5);

    // Orleans' development clustering keeps its membership in the memory of one silo, which all others find at this port.
    private const int LocalhostPrimaryPort = 11111;
}
#endif
