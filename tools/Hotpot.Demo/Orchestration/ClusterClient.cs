using Hotpot.Clients;
using Hotpot.Demo.Node;
using Hotpot.Silo;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Hotpot.Demo.Orchestration;

/// <summary>The orchestrator's way into the cluster: it runs no silo itself, so it maps nothing and asks the nodes' grains.</summary>
internal sealed class ClusterClient : IAsyncDisposable
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

    public static async Task<ClusterClient> ConnectAsync(DemoDirectory directory, CancellationToken cancellation)
    {
        var builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings());
        builder.Logging.ClearProviders();
        builder.UseOrleansClient(client => client.UseHotpotClustering(new HotpotOptions { ClusterDirectory = directory.ClusterDirectory }));
        builder.Services.AddHotpotClient();
        var host = builder.Build();
        await host.StartAsync(cancellation).ConfigureAwait(false);
        return new ClusterClient(host);
    }

    public IPageRankGrain On(NodeProcess node) => Grains.GetGrain<IPageRankGrain>(GrainKeys.Node(node.Id));

    /// <summary>Bytes that these nodes' data paths have sent to each other since they started.</summary>
    public async Task<long> BytesSentAsync(IEnumerable<NodeProcess> nodes)
    {
        long sum = 0;
        foreach (var node in nodes)
            sum += (long)(await Grains.NodeGrain(node.Id).StatAsync().ConfigureAwait(false)).Statistics.BytesSent;
        return sum;
    }

    public async ValueTask DisposeAsync()
    {
        await _host.StopAsync().ConfigureAwait(false);
        await ((IAsyncDisposable)_host).DisposeAsync().ConfigureAwait(false);
    }
}
