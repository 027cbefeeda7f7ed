using Hotpot.Clients;
using Hotpot.Silo;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Hotpot.LocalCluster;

/// <summary>The orchestrator's way into the cluster: it runs no silo itself, so it maps nothing and asks the nodes' grains.</summary>
public sealed class ClusterClient : IAsyncDisposable
{
    private readonly IHost _host;

    private ClusterClient(IHost host)
    {
        _host = host;
        Hotpot = host.Services.GetRequiredService<IHotpot>();
        Grains = host.Services.GetRequiredService<IGrainFactory>();
    }

    public IHotpot Hotpot { get; }

    public IGrainFactory Grains { get; }

    public static async Task<ClusterClient> ConnectAsync(ClusterFolder folder, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(folder);
        var builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings());
        builder.Logging.ClearProviders();
        builder.UseOrleansClient(client => client.UseHotpotClustering(new HotpotOptions { ClusterDirectory = folder.ClusterDirectory }));
        builder.Services.AddHotpotClient();
        var host = builder.Build();
        await host.StartAsync(cancellation).ConfigureAwait(false);
        return new ClusterClient(host);
    }

    /// <summary>The application's grain on one node.</summary>
    public TGrain On<TGrain>(NodeId node)
        where TGrain : IGrainWithStringKey => Grains.GetGrain<TGrain>(GrainKeys.Node(node));

    public async ValueTask DisposeAsync()
    {
        await _host.StopAsync().ConfigureAwait(false);
        await ((IAsyncDisposable)_host).DisposeAsync().ConfigureAwait(false);
    }
}
