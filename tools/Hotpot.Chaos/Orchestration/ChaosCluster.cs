using System.Diagnostics;
using Hotpot.Chaos.Faults;
using Hotpot.Chaos.Node;
using Hotpot.Clients;

namespace Hotpot.Chaos.Orchestration;

/// <summary>The nodes of a run, the ways to them, and their datasets.</summary>
internal sealed class ChaosCluster : IAsyncDisposable
{
    /// <summary>A client has one connection, to any silo; several see to it that a silo that hangs does not hold everybody up.</summary>
    private const int Connections = 6;

    private const int StartAttempts = 3;

    /// <summary>On how many nodes each byte is, if there are so many.</summary>
    public const int DegreeMax = 3;

    private static readonly TimeSpan s_poll = TimeSpan.FromMilliseconds(100);

    private readonly Journal _journal;

    // Filled by CreateAsync, before anybody uses them.
    private readonly List<ClusterClient> _clients = [];
    private readonly List<Dataset> _datasets = [];

    public ChaosCluster(ClusterFolder folder, int nodes, ClusterNetwork? network, Journal journal)
    {
        Folder = folder;
        Network = network;
        _journal = journal;
        Slots = [.. Enumerable.Range(0, nodes).Select(index => new NodeSlot(index))];
    }

    public ClusterFolder Folder { get; }

    public ClusterNetwork? Network { get; }

    public IReadOnlyList<NodeSlot> Slots { get; }

    /// <summary>Starts the nodes and makes the datasets.</summary>
    /// <param name="lists">How many lists there is room for.</param>
    public async Task CreateAsync(int lists, CancellationToken cancellation)
    {
        await Task.WhenAll(Slots.Select(slot => StartAsync(slot, cancellation)));
        for (var i = 0; i < Connections; i++)
            _clients.Add(await ClusterClient.ConnectAsync(Folder, cancellation));
        var degree = Math.Min(DegreeMax, Slots.Count);
        await CreateAsync(Layout.Bank, (long)Layout.Accounts * Layout.ChunkBytes, Layout.ChunkBytes, SharingMode.MultiWriter, degree, cancellation);
        await CreateAsync(Layout.Lists, (long)lists * Limits.PageBytes, Limits.PageBytes, SharingMode.MultiWriter, degree, cancellation);
        await CreateAsync(Layout.Counters, (long)Layout.CounterPages * Layout.ChunkBytes, Layout.ChunkBytes, SharingMode.MultiWriter, degree, cancellation);
        await CreateAsync(Layout.Registers, (long)Layout.RegisterCount * Layout.ChunkBytes, Layout.ChunkBytes, SharingMode.SingleWriter, degree, cancellation);
    }

    /// <summary>The application's grain in a node's present life, by one of several connections.</summary>
    public IChaosGrain On(NodeLife life, int connection) => _clients[connection % Connections].On<IChaosGrain>(life.Process.Id);

    /// <summary>Starts a process in the slot, with the data that is there.</summary>
    public async Task StartAsync(NodeSlot slot, CancellationToken cancellation)
    {
        if (slot.Last is { } last)
            await last.Process.DisposeAsync();
        var options = new NodeOptions(
            Folder.DataDirectory(slot.Index), Folder.ClusterDirectory, Folder.KeyFile, Folder.Medium,
            Network is null ? null : $"{Network.AddressOf(slot.Index)}:0",
            // Shared memory would go around the network that is to be cut.
            Network is null ? null : "tcp");
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                slot.SetUp(new NodeLife(await NodeProcess.StartAsync(Network?.LauncherOf(slot.Index) ?? [], options, Folder.LogFile(slot.Index), slot.Index, cancellation)));
                return;
            }
            catch (LocalClusterException failure) when (attempt < StartAttempts)
            {
                _journal.Anomaly(failure.Message);
            }
        }
    }

    /// <summary>False when copies are still missing, or work is still outstanding, at the end of the time.</summary>
    public async Task<bool> WaitUntilHealthyAsync(TimeSpan limit, CancellationToken cancellation)
    {
        var started = Stopwatch.GetTimestamp();
        var state = "";
        while (Stopwatch.GetElapsedTime(started) < limit)
        {
            state = await DescribeUnhealthyAsync();
            if (state.Length == 0)
                return true;
            await Task.Delay(s_poll, cancellation);
        }

        _journal.Write($"not healthy after {limit.TotalSeconds:0} s: {state}");
        return false;
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var client in _clients)
            await client.DisposeAsync();
        // Nothing is to be handed over any more.
        foreach (var slot in Slots.Where(slot => slot.Last is not null))
        {
            if (!slot.Last!.Process.HasExited)
                await slot.Last.Process.KillAsync();
            await slot.Last.Process.DisposeAsync();
        }
    }

    private async Task CreateAsync(string name, long size, long chunkBytes, SharingMode mode, int degree, CancellationToken cancellation) =>
        _datasets.Add(await _clients[0].Hotpot.CreateDatasetAsync(name, size, new DatasetOptions { Degree = degree, ChunkBytes = chunkBytes, Mode = mode }, cancellation));

    /// <summary>Nothing when every dataset is complete.</summary>
    private async Task<string> DescribeUnhealthyAsync()
    {
        foreach (var dataset in _datasets)
        {
            try
            {
                var health = await _clients[0].Grains.DatasetGrain(dataset.Id).GetHealthAsync();
                if (health is not { Recovering: 0, Waiting: 0, Joining: 0, ReplicasMissing: 0, WorkLeft: false })
                    return $"{dataset.Name}: {health}";
            }
            catch (Exception failure) when (failure is HotpotException or OrleansException or TimeoutException)
            {
                return $"{dataset.Name}: {failure.Message}";
            }
        }

        return "";
    }
}
