using Hotpot.Grains.Node;
using Hotpot.LocalCluster;
using Hotpot.Silo;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Hotpot.Benchmarks;

/// <summary>Three real silos in this process, so that what any of them allocates is counted. Only the first maps datasets: a process has each address once.</summary>
public sealed class ThreeSilos : IAsyncDisposable
{
    private static ThreeSilos? s_running;

    private readonly ClusterFolder _folder = ClusterFolder.Create("benchmarks", wanted: null, keep: false);
    private readonly List<IHost> _hosts = [];

    /// <summary>For the benchmarks, which are made without arguments. Set by <see cref="StartAsync"/>.</summary>
    public static ThreeSilos Running => s_running ?? throw new InvalidOperationException("The silos do not run yet.");

    public IHotpot Hotpot => _hosts[0].Services.GetRequiredService<IHotpot>();

    public static async Task<ThreeSilos> StartAsync()
    {
        var silos = new ThreeSilos();
        try
        {
            for (var node = 0; node < 3; node++)
                silos._hosts.Add(await silos.StartNodeAsync(node));
        }
        catch
        {
            await silos.DisposeAsync();
            throw;
        }

        return s_running = silos;
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var host in Enumerable.Reverse(_hosts))
        {
            await host.StopAsync();
            await ((IAsyncDisposable)host).DisposeAsync();
        }

        _folder.Dispose();
    }

    private async Task<IHost> StartNodeAsync(int node)
    {
        var builder = Host.CreateEmptyApplicationBuilder(null);
        builder.Configuration.AddInMemoryCollection(
        [
            Setting(nameof(HotpotOptions.DataDirectory), _folder.DataDirectory(node)),
            Setting(nameof(HotpotOptions.ClusterDirectory), _folder.ClusterDirectory),
            Setting(nameof(HotpotOptions.ClusterKeyFile), _folder.KeyFile),
            Setting(nameof(HotpotOptions.Medium), _folder.Medium.ToString()),
            Setting(nameof(HotpotOptions.MigrationInterval), "00:00:00"),
        ]);
        builder.Logging.AddSimpleConsole().SetMinimumLevel(LogLevel.Error);
        builder.UseOrleans(silo => silo.UseHotpotClustering(new HotpotOptions { ClusterDirectory = _folder.ClusterDirectory }).AddHotpot());
        var host = builder.Build();
        await host.StartAsync();
        await host.Services.GetRequiredService<IHotpotNode>().Ready;
        return host;
    }

    private static KeyValuePair<string, string?> Setting(string name, string value) => new(ConfigurationPath.Combine(HotpotOptions.Section, name), value);
}
