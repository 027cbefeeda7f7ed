using Hotpot.TestSilo;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Hotpot.Tests.ActorHost;

/// <summary>
/// A cluster of silos in this process, on whichever actor host the tests were built for. The tests that use nothing
/// else are the contract that both hosts keep.
/// </summary>
public sealed class TestSilos : IAsyncDisposable
{
#if HOTPOT_EMBEDDED
    private readonly List<(string Name, IHost Host)> _silos = [];

    private TestSilos(string directory) => Directory = directory;

    public string Directory { get; }

    public IReadOnlyList<string> Names => [.. _silos.Select(silo => silo.Name)];

    /// <summary>Calls through this start in the first silo.</summary>
    public IClusterClient Client => Services(_silos[0].Name).GetRequiredService<IClusterClient>();

    public static async Task<TestSilos> StartAsync(int count, Action<ISiloBuilder>? configure = null)
    {
        var silos = new TestSilos(System.IO.Directory.CreateTempSubdirectory("hotpot-").FullName);
        for (var i = 0; i < count; i++)
            await silos.AddAsync($"silo-{i}", configure);
        return silos;
    }

    public async Task<IHost> AddAsync(string name, Action<ISiloBuilder>? configure = null)
    {
        var builder = Host.CreateEmptyApplicationBuilder(null);
        builder.UseOrleans(silo =>
        {
            silo.UseEmbeddedClustering(Directory)
                .AddEmbeddedGrainStorage("test")
                .AddPlacementDirector<OnNamedSilo, OnNamedSiloDirector>()
                .Configure<SiloOptions>(options => options.SiloName = name);
            configure?.Invoke(silo);
        });
        var host = builder.Build();
        await host.StartAsync();
        _silos.Add((name, host));
        return host;
    }

    public IServiceProvider Services(string name) => _silos.Single(silo => silo.Name == name).Host.Services;

    public async Task StopAsync(string name)
    {
        var index = _silos.FindIndex(silo => silo.Name == name);
        var (_, host) = _silos[index];
        _silos.RemoveAt(index);
        await host.StopAsync();
        host.Dispose();
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var name in Names)
            await StopAsync(name);
        System.IO.Directory.Delete(Directory, recursive: true);
    }
#else
    private readonly InProcessTestCluster _cluster;

    private TestSilos(InProcessTestCluster cluster) => _cluster = cluster;

    public IReadOnlyList<string> Names => [.. _cluster.Silos.Select(silo => silo.Name)];

    public IClusterClient Client => _cluster.Client;

    public static async Task<TestSilos> StartAsync(int count)
    {
        var builder = new InProcessTestClusterBuilder((short)count);
        builder.ConfigureSilo((_, silo) =>
        {
            silo.AddMemoryGrainStorage("test");
            silo.AddPlacementDirector<OnNamedSilo, OnNamedSiloDirector>();
        });
        var cluster = builder.Build();
        await cluster.DeployAsync();
        return new TestSilos(cluster);
    }

    public IServiceProvider Services(string name) => _cluster.GetSiloServiceProvider(_cluster.Silos.Single(silo => silo.Name == name).SiloAddress);

    public Task StopAsync(string name) => _cluster.StopSiloAsync(_cluster.Silos.Single(silo => silo.Name == name));

    public ValueTask DisposeAsync() => _cluster.DisposeAsync();
#endif
}
