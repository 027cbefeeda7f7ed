using Hotpot.Cli.Cluster;
using Hotpot.Clients;
using Hotpot.Silo;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Hotpot.Cli;

/// <summary>A client of the cluster in a folder, for the length of one command.</summary>
internal sealed class ClusterConnection : IAsyncDisposable
{
    // A cluster of this machine answers within milliseconds; one that has just lost a silo within a few seconds.
    private static readonly TimeSpan s_connectTimeout = TimeSpan.FromSeconds(10);

    private readonly IHost _host;

    private ClusterConnection(IHost host)
    {
        _host = host;
        Hotpot = host.Services.GetRequiredService<IHotpot>();
        Grains = host.Services.GetRequiredService<IGrainFactory>();
    }

    public IHotpot Hotpot { get; }

    public IGrainFactory Grains { get; }

    public static async Task<ClusterConnection> OpenAsync(ClusterFolder folder, CancellationToken cancellation)
    {
        folder.Load();
        var builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings());
        // The command reports what fails in its own words.
        builder.Logging.ClearProviders();
        builder.UseOrleansClient(client => client.UseHotpotClustering(new HotpotOptions { ClusterDirectory = folder.Members }));
        builder.Services.AddHotpotClient();
        var host = builder.Build();
        try
        {
            using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
            limit.CancelAfter(s_connectTimeout);
            await host.StartAsync(limit.Token).ConfigureAwait(false);
            return new ClusterConnection(host);
        }
        catch (Exception exception)
        {
            await DisposeAsync(host).ConfigureAwait(false);
            if (cancellation.IsCancellationRequested || !CommandRunner.IsUnavailable(exception))
                throw;
            throw new CommandException(ExitCodes.Unavailable, $"No silo of the cluster in {folder.Root} answers; start it with ./hotpot cluster up.");
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _host.StopAsync().ConfigureAwait(false);
        await DisposeAsync(_host).ConfigureAwait(false);
    }

    private static ValueTask DisposeAsync(IHost host)
    {
        if (host is IAsyncDisposable asynchronous)
            return asynchronous.DisposeAsync();
        host.Dispose();
        return ValueTask.CompletedTask;
    }
}
