#if HOTPOT_EMBEDDED
using Hotpot.Grains;
using Hotpot.Grains.Acquire;
using Hotpot.Grains.Commit;
using Hotpot.Grains.Membership;
using Hotpot.Grains.Node;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace Hotpot.Tests.Grains.Cluster;

/// <summary>
/// Hotpot nodes in this process: the real grains, committer and node service on the embedded host, each with a fake engine. A node can be killed at any point of a
/// protocol: its engine stops answering, its disk stays, and the membership declares its silo dead.
/// </summary>
internal sealed class HotpotCluster : IAsyncDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly Dictionary<NodeId, Node> _nodes = [];
    private readonly Dictionary<NodeId, FakeDisk> _disks = [];
    private readonly List<IHost> _graveyard = [];
    private readonly string _directory = Directory.CreateTempSubdirectory("hotpot-grains-").FullName;

    private readonly Action<HotpotGrainsOptions> _configure;

    private HotpotCluster(Action<HotpotGrainsOptions> configure) => _configure = configure;

    private sealed record Node(IHost Host, FakeEngine Engine);

    /// <summary>Of the stage of the node itself: the silo stays an active member until both are done.</summary>
    private sealed class StopHook(Func<Task> atStop) : ILifecycleParticipant<ISiloLifecycle>
    {
        public void Participate(ISiloLifecycle lifecycle) =>
            lifecycle.Subscribe(nameof(StopHook), ServiceLifecycleStage.Active, _ => Task.CompletedTask, _ => atStop());
    }

    public FakeFabric Fabric { get; } = new();

    public IEnumerable<NodeId> Alive => _nodes.Keys.Order();

    /// <summary>Runs in the stop of a node, after it has begun and before the node is anything but an active member.</summary>
    public Func<NodeId, Task> AtStop { get; set; } = _ => Task.CompletedTask;

    public static Task<HotpotCluster> StartAsync(params NodeId[] nodes) => StartAsync(_ => { }, nodes);

    public static async Task<HotpotCluster> StartAsync(Action<HotpotGrainsOptions> configure, params NodeId[] nodes)
    {
        HotpotCluster cluster = new(configure);
        foreach (NodeId node in nodes)
            await cluster.StartNodeAsync(node);
        await cluster.SettleAsync();
        return cluster;
    }

    public T Service<T>(NodeId node) where T : notnull => _nodes[node].Host.Services.GetRequiredService<T>();

    public FakeEngine Engine(NodeId node) => _nodes[node].Engine;

    public IGrainFactory Grains => Service<IGrainFactory>(Alive.First());

    public EmbeddedGrainStorage Storage => _nodes[Alive.First()].Host.Services.GetRequiredKeyedService<EmbeddedGrainStorage>(HotpotGrainsOptions.StorageName);

    public ICommitter Committer(NodeId node) => Service<ICommitter>(node);

    public async Task StartNodeAsync(NodeId node)
    {
        if (!_disks.TryGetValue(node, out FakeDisk? disk))
            _disks[node] = disk = new FakeDisk(node);
        FakeEngine engine = new(Fabric, disk);
        HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(null);
        builder.UseOrleans(silo =>
        {
            silo.UseEmbeddedClustering(_directory)
                .AddEmbeddedGrainStorage(HotpotGrainsOptions.StorageName)
                .Configure<SiloOptions>(options => options.SiloName = GrainKeys.SiloName(node));
            silo.Services.AddSingleton<INodeEngine>(engine);
            silo.AddHotpotGrains(options =>
            {
                options.MaintenanceInterval = TimeSpan.FromMilliseconds(100);
                options.MigrationInterval = TimeSpan.FromMilliseconds(100);
                options.HandOverTimeout = TimeSpan.FromSeconds(5);
                _configure(options);
            });
            silo.Services.AddSingleton<ILifecycleParticipant<ISiloLifecycle>>(new StopHook(() => AtStop(node)));
        });
        IHost host = builder.Build();
        await host.StartAsync();
        _nodes[node] = new Node(host, engine);
        await Service<IHotpotNode>(node).Ready.WaitAsync(Patience);
    }

    /// <summary>Declares the node dead, as its sudden end would: nothing of it is finished, nothing is handed over.</summary>
    public async Task KillAsync(NodeId node)
    {
        if (!_nodes.Remove(node, out Node? dead))
            return;
        dead.Engine.IsAlive = false;
        _graveyard.Add(dead.Host);
        // What still runs in this process on behalf of the dead node must not keep it waiting.
        dead.Host.Services.GetRequiredService<NodeLifetime>().Fence();
        SiloAddress silo = dead.Host.Services.GetRequiredService<ILocalSiloDetails>().SiloAddress;
        if (_nodes.Count > 0)
            await Service<IClusterMembershipService>(Alive.First()).TryKill(silo);
        else
            await dead.Host.Services.GetRequiredService<IClusterMembershipService>().TryKill(silo);
    }

    public async Task StopAsync(NodeId node)
    {
        _nodes.Remove(node, out Node? leaving);
        await leaving!.Host.StopAsync();
        leaving.Host.Dispose();
        leaving.Engine.IsAlive = false;
    }

    public async Task<DatasetDescription> CreateAsync(string name, int degree, int chunks = 6, SharingMode mode = SharingMode.MultiWriter) =>
        await Grains.NamespaceGrain().CreateAsync(new CreateDatasetRequest
        {
            RequestId = Guid.NewGuid(),
            Name = name,
            Size = chunks * 4096L,
            Degree = degree,
            ChunkLog2 = 12,
            Mode = mode,
        });

    /// <summary>Waits until every living node knows the life of every other.</summary>
    public Task SettleAsync() => UntilAsync("the nodes are connected", () => Task.FromResult(
        Alive.All(one => Alive.All(other => Fabric.Link(Engine(one), other) is not null && !_disks.Keys.Except(Alive).Any(dead => Service<IClusterView>(one).Current.IsLive(dead))))));

    /// <summary>Waits until the dataset has nothing left to do.</summary>
    public async Task<DatasetHealth> HealAsync(DatasetId dataset, Predicate<DatasetHealth>? until = null)
    {
        until ??= health => health.Recovering == health.Waiting && health.Joining == 0;
        DatasetHealth? health = null;
        await SettleAsync();
        await UntilAsync("the dataset is healthy", async () =>
        {
            health = await Grains.DatasetGrain(dataset).MaintainAsync();
            return !health.WorkLeft && !health.Members.Except(Alive).Any() && until(health);
        });
        return health!;
    }

    public async Task<byte[]> ReadAsync(NodeId node, DatasetDescription dataset, long offset, int length)
    {
        byte[]? bytes = null;
        await UntilAsync("the bytes can be read", async () => (bytes = await Grains.NodeGrain(node).ReadAsync(dataset.Id, offset, length)).Length == length);
        return bytes!;
    }

    /// <summary>Tries again after errors that pass, until the condition holds; the pauses only keep the tries from spinning.</summary>
    public static Task UntilAsync(string what, Func<Task<bool>> condition) => Eventually.UntilAsync(what, condition);

    public async ValueTask DisposeAsync()
    {
        Fabric.AtPoint = (_, _) => Task.CompletedTask;
        AtStop = _ => Task.CompletedTask;
        foreach (IHost host in _graveyard.Concat(_nodes.Values.Select(node => node.Host)))
        {
            using CancellationTokenSource limit = new(TimeSpan.FromSeconds(10));
            await host.StopAsync(limit.Token);
            host.Dispose();
        }
        Directory.Delete(_directory, recursive: true);
    }
}
#endif
