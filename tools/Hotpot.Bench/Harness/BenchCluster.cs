using Hotpot.Bench.Node;
using Hotpot.Clients;
using Hotpot.Silo;

namespace Hotpot.Bench.Harness;

/// <summary>Silo processes on this machine, with the benchmark's grain in each of them.</summary>
internal sealed class BenchCluster : IAsyncDisposable
{
    private readonly List<NodeProcess> _nodes = [];

    // Set by StartAsync, after the nodes.
    private ClusterClient? _client;

    private readonly IReadOnlyList<string> _settings;

    private BenchCluster(ClusterFolder folder, Placement placement, string? transports, IReadOnlyList<string> settings)
    {
        Folder = folder;
        Placement = placement;
        Transports = transports;
        _settings = settings;
    }

    public ClusterFolder Folder { get; }

    public Placement Placement { get; }

    /// <summary>Null: shared memory between the processes of this machine.</summary>
    public string? Transports { get; }

    public string TransportName => Transports ?? "shm";

    public IReadOnlyList<NodeProcess> Nodes => _nodes;

    public IHotpot Hotpot => _client!.Hotpot;

    public ClusterClient Client => _client!;

    /// <summary>Chunks stay with the node that committed to them first, whoever uses them.</summary>
    public static IReadOnlyList<string> NoMigration { get; } = [$"{nameof(HotpotOptions.MigrationInterval)}=00:00:00"];

    /// <param name="transports">"tcp", or null for shared memory.</param>
    /// <param name="settings">Further settings of the nodes, each "Name=Value".</param>
    public static async Task<BenchCluster> StartAsync(
        int nodes, Medium medium, Placement placement, string? transports, CancellationToken cancellation, IReadOnlyList<string>? settings = null)
    {
        var cluster = new BenchCluster(ClusterFolder.Create("bench", medium, keep: false), placement, transports, settings ?? []);
        try
        {
            cluster._nodes.AddRange(await Task.WhenAll(Enumerable.Range(0, nodes).Select(index => cluster.StartNodeAsync(index, cancellation))));
            cluster._client = await ClusterClient.ConnectAsync(cluster.Folder, cancellation);
            return cluster;
        }
        catch
        {
            await cluster.DisposeAsync();
            throw;
        }
    }

    /// <summary>
    /// Kills a node without notice; it stays in <see cref="Nodes"/>. The client may have spoken to the cluster through it, and then its next call is lost: a call to a neighbour, which does
    /// nothing, finds that out.
    /// </summary>
    public async Task KillAsync(int node)
    {
        await _nodes[node].KillAsync();
        try
        {
            await EndNothingAsync();
        }
        catch (OrleansException)
        {
            await EndNothingAsync();
        }

        Task EndNothingAsync() => On((node + 1) % _nodes.Count).EndAsync("nothing");
    }

    /// <summary>Starts a killed node again, with the data it had; returns when it has joined every dataset.</summary>
    public async Task RestartAsync(int node, CancellationToken cancellation)
    {
        await _nodes[node].DisposeAsync();
        _nodes[node] = await StartNodeAsync(node, cancellation);
    }

    /// <summary>Starts one more node; returns when it has joined every dataset.</summary>
    public async Task AddAsync(CancellationToken cancellation) => _nodes.Add(await StartNodeAsync(_nodes.Count, cancellation));

    public IBenchGrain On(int node) => _client!.On<IBenchGrain>(_nodes[node].Id);

    /// <summary>Starts a workload on a node; the side runs its turns there.</summary>
    /// <param name="operations">Most operations of one turn.</param>
    public async Task<Side> SideAsync(int node, string name, WorkloadSpec spec, int operations, TimeSpan limit)
    {
        var key = $"{spec.Kind}-{Guid.NewGuid():N}";
        var grain = On(node);
        await grain.PrepareAsync(key, spec);
        return new Side(name, _ => grain.RunAsync(key, operations, limit));
    }

    public async ValueTask DisposeAsync()
    {
        if (_client is not null)
            await _client.DisposeAsync();
        // Nothing is to be handed over any more, and nothing kept.
        foreach (var node in _nodes)
        {
            await node.KillAsync();
            await node.DisposeAsync();
        }

        Folder.Dispose();
    }

    private Task<NodeProcess> StartNodeAsync(int index, CancellationToken cancellation) => NodeProcess.StartAsync(
        Placement.Launcher,
        new NodeOptions(Folder.DataDirectory(index), Folder.ClusterDirectory, Folder.KeyFile, Folder.Medium, Transports: Transports, Settings: _settings),
        Folder.LogFile(index), index, cancellation);
}
