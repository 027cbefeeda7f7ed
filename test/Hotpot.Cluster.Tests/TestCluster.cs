using System.Diagnostics;
using System.Security.Cryptography;
using Hotpot.Silo;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Hotpot.Cluster.Tests;

/// <summary>Silo processes on this machine, and a client of them. Every directory is new and goes with the cluster.</summary>
internal sealed class TestCluster : IAsyncDisposable
{
    private readonly List<NodeProcess> _nodes = [];
    private readonly Dictionary<string, string> _settings = [];
    private IHost? _client;

    private TestCluster(string medium)
    {
        Root = Directory.CreateTempSubdirectory("hotpot-cluster-").FullName;
        Medium = medium;
        // Tmpfs stands in for persistent memory; the file medium gets the disk it is meant for.
        DataRoot = medium == "Pmem" && Directory.Exists("/dev/shm") ? Directory.CreateDirectory($"/dev/shm/{Path.GetFileName(Root)}").FullName : Root;
        File.WriteAllText(KeyFile, Convert.ToHexString(RandomNumberGenerator.GetBytes(32)));
    }

    public string Root { get; }

    public string DataRoot { get; }

    public string Medium { get; }

    public string KeyFile => Path.Combine(Root, "key");

    public string ClusterDirectory => Path.Combine(Root, "cluster");

    public IReadOnlyList<NodeProcess> Nodes => _nodes;

    public IHotpot Hotpot => _client!.Services.GetRequiredService<IHotpot>();

    public IGrainFactory Grains => _client!.Services.GetRequiredService<IGrainFactory>();

    public static async Task<TestCluster> StartAsync(int nodes, string medium = "Pmem", Dictionary<string, string>? settings = null)
    {
        TestCluster cluster = new(medium);
        try
        {
            foreach ((string name, string value) in settings ?? [])
                cluster._settings[name] = value;
            for (int i = 0; i < nodes; i++)
                cluster._nodes.Add(NodeProcess.Launch(cluster.SettingsOf(i)));
            foreach (NodeProcess node in cluster._nodes)
                await node.WaitUntilReadyAsync();
            await cluster.ConnectAsync();
            return cluster;
        }
        catch
        {
            await cluster.DisposeAsync();
            throw;
        }
    }

    public string DataDirectory(int node) => Path.Combine(DataRoot, $"node{node}");

    public IEnumerable<string> SettingsOf(int node, params (string Name, string Value)[] others)
    {
        Dictionary<string, string> all = new()
        {
            ["DataDirectory"] = DataDirectory(node),
            ["ClusterDirectory"] = ClusterDirectory,
            ["ClusterKeyFile"] = KeyFile,
            ["Medium"] = Medium,
        };
        foreach ((string name, string value) in _settings)
            all[name] = value;
        foreach ((string name, string value) in others)
            all[name] = value;
        return all.Select(setting => $"--Hotpot:{setting.Key}={setting.Value}");
    }

    public IProbeGrain On(int node) => Grains.GetGrain<IProbeGrain>(GrainKeys.Node(_nodes[node].Id));

    public async Task<Dataset> CreateAsync(string name, long size, int degree, SharingMode mode = SharingMode.MultiWriter) =>
        await Hotpot.CreateDatasetAsync(name, size, new DatasetOptions { Degree = degree, Mode = mode });

    /// <summary>Starts a node that has died again, with its data.</summary>
    public async Task RestartAsync(int node)
    {
        await _nodes[node].DisposeAsync();
        _nodes[node] = NodeProcess.Launch(SettingsOf(node));
        await _nodes[node].WaitUntilReadyAsync();
    }

    public async Task RestartAllAsync()
    {
        for (int i = 0; i < _nodes.Count; i++)
        {
            await _nodes[i].DisposeAsync();
            _nodes[i] = NodeProcess.Launch(SettingsOf(i));
        }
        foreach (NodeProcess node in _nodes)
            await node.WaitUntilReadyAsync();
        await ConnectAsync();
    }

    /// <summary>Waits until nothing is left to recover and every chunk has its full degree.</summary>
    public async Task WaitUntilHealthyAsync(Dataset dataset)
    {
        await EventuallyAsync(
            async () =>
            {
                DatasetHealth health = await Grains.DatasetGrain(dataset.Id).GetHealthAsync();
                return health is { Recovering: 0, Waiting: 0, Joining: 0, ReplicasMissing: 0, WorkLeft: false };
            },
            $"{dataset.Name} has its full degree");
    }

    /// <summary>Asks again, with a pause that grows, until it holds; a grain may be on its way from a dead silo meanwhile.</summary>
    public async Task EventuallyAsync(Func<Task<bool>> holds, string what, int seconds = 60)
    {
        long started = Stopwatch.GetTimestamp();
        Exception? last = null;
        using PeriodicTimer timer = new(TimeSpan.FromMilliseconds(25));
        while (Stopwatch.GetElapsedTime(started).TotalSeconds < seconds)
        {
            try
            {
                if (await holds())
                    return;
                last = null;
            }
            catch (Exception failure) when (failure is HotpotException or OrleansException or TimeoutException)
            {
                last = failure;
            }
            await timer.WaitForNextTickAsync();
        }
        string logs = string.Join("\n----\n", _nodes.Select(node => string.Join('\n', node.Log.Split('\n').TakeLast(30))));
        throw new TimeoutException($"It never happened within {seconds} s that {what}. Last failure: {last}\n{logs}");
    }

    public async Task<T> RetryAsync<T>(Func<Task<T>> call, string what)
    {
        T result = default!;
        await EventuallyAsync(
            async () =>
            {
                result = await call();
                return true;
            },
            what);
        return result;
    }

    public async ValueTask DisposeAsync()
    {
        await DisconnectAsync();
        foreach (NodeProcess node in _nodes)
            await node.DisposeAsync();
        // For a look at what the silos said: HOTPOT_TEST_LOGS names a folder that keeps it.
        if (Environment.GetEnvironmentVariable("HOTPOT_TEST_LOGS") is { Length: > 0 } folder)
        {
            Directory.CreateDirectory(folder);
            for (int i = 0; i < _nodes.Count; i++)
                await File.WriteAllTextAsync(Path.Combine(folder, $"{Path.GetFileName(Root)}-{i}.log"), _nodes[i].Log);
        }
        Directory.Delete(Root, recursive: true);
        if (DataRoot != Root)
            Directory.Delete(DataRoot, recursive: true);
    }

    private async Task ConnectAsync()
    {
        await DisconnectAsync();
        HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings());
        builder.Logging.ClearProviders();
        builder.UseOrleansClient(client => client.UseHotpotClustering(new HotpotOptions { ClusterDirectory = ClusterDirectory }));
        builder.Services.AddHotpotClient();
        _client = builder.Build();
        await _client.StartAsync();
    }

    private async Task DisconnectAsync()
    {
        if (_client is null)
            return;
        await _client.StopAsync();
        await ((IAsyncDisposable)_client).DisposeAsync();
        _client = null;
    }
}
