using System.Collections.Concurrent;
using Hotpot.Grains.Acquire;
using Microsoft.Extensions.Logging;

namespace Hotpot.Grains.Node;

/// <summary>A dataset that is open on this node.</summary>
internal sealed class LocalDataset(DatasetDescription description, LocalChunkMap map, OwnedGrants owned)
{
    public DatasetDescription Description { get; } = description;

    public LocalChunkMap Map { get; } = map;

    /// <summary>The grants of the chunks that this node owns.</summary>
    public OwnedGrants Owned { get; } = owned;

    /// <summary>Serialises joining and refreshing.</summary>
    public SemaphoreSlim Gate { get; } = new(1, 1);

    /// <summary>Not 0: the dataset grain knows this incarnation as a member, so every map change reaches it. Written under <see cref="Gate"/>.</summary>
    public int JoinedFlag;

    /// <summary>Every change up to this version has been applied here. Written under <see cref="Gate"/>.</summary>
    public ulong CompleteVersion { get; set; }
}

// The datasets of this node: opened in the engine, joined at the dataset grain, with the managed copy of their maps.
//
// Opening and joining are two steps. Open makes the engine ready to take maps; anyone may ask for it at any time. Join tells the dataset grain that
// this incarnation is a member; from then on no map change is complete without this node, and the map it gets with the
// answer is whole. Only a joined dataset may be used: a node that the grain does not know would read chunks as unassigned (zeros) that
// others have written to.
internal sealed partial class DatasetRegistry(
    INodeEngine engine, IGrainFactory grains, IGrantHolders holders, NodeLifetime lifetime, TimeProvider time, ILogger<DatasetRegistry> logger)
{
    private readonly ConcurrentDictionary<DatasetId, LocalDataset> _datasets = new();

    public ICollection<LocalDataset> All => _datasets.Values;

    /// <summary>Opens the dataset in the engine. Idempotent.</summary>
    public LocalDataset Open(DatasetDescription description)
    {
        if (_datasets.TryGetValue(description.Id, out LocalDataset? known))
            return known;
        engine.OpenDataset(description);
        return _datasets.GetOrAdd(description.Id, _ =>
        {
            LocalChunkMap map = new(description);
            OwnedGrants owned = new(description, engine, map, holders, lifetime, time, logger);
            return new LocalDataset(description, map, owned);
        });
    }

    public bool TryGet(DatasetId dataset, out LocalDataset local) => _datasets.TryGetValue(dataset, out local!);

    public LocalDataset Get(DatasetId dataset) =>
        _datasets.TryGetValue(dataset, out LocalDataset? local) ? local : throw DatasetNotFoundException.WithId(dataset);

    /// <summary>Makes the dataset usable: open and joined. Cheap when it is.</summary>
    public ValueTask<LocalDataset> JoinAsync(DatasetDescription description, CancellationToken cancellationToken)
    {
        LocalDataset local = Open(description);
        return Volatile.Read(ref local.JoinedFlag) != 0
            ? new ValueTask<LocalDataset>(local)
            : lifetime.RunAsync(
                (Registry: this, local), static (call, ending) => new ValueTask<LocalDataset>(call.Registry.JoinAsync(call.local, ending)), cancellationToken);
    }

    private async Task<LocalDataset> JoinAsync(LocalDataset local, CancellationToken cancellationToken)
    {
        await local.Gate.WaitAsync(cancellationToken);
        try
        {
            if (local.JoinedFlag == 0)
            {
                await TransientErrors.RepeatAsync(
                    async () =>
                    {
                        await grains.DatasetGrain(local.Description.Id).NodeJoinedAsync(local.Description, engine.Identity);
                        return true;
                    },
                    time, cancellationToken);
                Volatile.Write(ref local.JoinedFlag, 1);
            }
            return local;
        }
        finally
        {
            local.Gate.Release();
        }
    }

    /// <summary>The same by id. An unknown dataset is looked for in the namespace.</summary>
    public ValueTask<LocalDataset> OpenAsync(DatasetId dataset, CancellationToken cancellationToken) => _datasets.TryGetValue(dataset, out LocalDataset? local)
        ? JoinAsync(local.Description, cancellationToken)
        : new ValueTask<LocalDataset>(FindAsync(dataset, cancellationToken));

    private async Task<LocalDataset> FindAsync(DatasetId dataset, CancellationToken cancellationToken)
    {
        DatasetDescription[] all = await lifetime.RunAsync(
            ending => TransientErrors.RepeatAsync(() => grains.NamespaceGrain().ListAsync(), time, ending), cancellationToken);
        DatasetDescription description = all.FirstOrDefault(candidate => candidate.Id == dataset) ?? throw DatasetNotFoundException.WithId(dataset);
        return await JoinAsync(description, cancellationToken);
    }

    /// <summary>Installs entries; durable at a replica when it returns.</summary>
    public async Task ApplyMapAsync(LocalDataset local, IReadOnlyList<ChunkEntry> entries)
    {
        // The engine first: whoever finds an owner in the managed map may rely on the engine knowing the epoch.
        await engine.ApplyMapAsync(local.Description.Id, entries);
        local.Map.Apply(entries, isMember: Volatile.Read(ref local.JoinedFlag) != 0);
    }

    /// <summary>
    /// Fetches what changed since the last complete look, for a node that was told its map is old. False when the dataset grain cannot be asked now: the caller
    /// meets the old map once more and comes back.
    /// </summary>
    public async Task<bool> TryRefreshAsync(LocalDataset local, CancellationToken cancellationToken)
    {
        try
        {
            await RefreshAsync(local, cancellationToken);
            return true;
        }
        catch (Exception error) when (TransientErrors.MayPass(error))
        {
            LogRefreshFailed(error, local.Description.Name);
            return false;
        }
    }

    private async Task RefreshAsync(LocalDataset local, CancellationToken cancellationToken)
    {
        await local.Gate.WaitAsync(cancellationToken);
        try
        {
            IDatasetGrain grain = grains.DatasetGrain(local.Description.Id);
            ChunkIndex? from = new ChunkIndex(0);
            ulong? version = null;
            while (from is { } start)
            {
                ChunkMapPage page = await grain.GetMapAsync(local.CompleteVersion, start).WaitAsync(cancellationToken);
                // Changes made while we page have a version above the first page's, so the next refresh sees them.
                version ??= page.Version;
                if (page.Entries.Unpack() is { Length: > 0 } entries)
                    await ApplyMapAsync(local, entries);
                from = page.Next;
            }
            local.CompleteVersion = version ?? local.CompleteVersion;
        }
        finally
        {
            local.Gate.Release();
        }
    }

    public void Drop(DatasetId dataset)
    {
        // The engine first: it refuses while the dataset is mapped, and then it must stay open here. It may know datasets from its log that are not open.
        engine.DropDataset(dataset);
        _datasets.TryRemove(dataset, out _);
    }

    [LoggerMessage(LogLevel.Debug, "The chunk map of dataset '{Dataset}' could not be read; it is asked for again.")]
    private partial void LogRefreshFailed(Exception error, string dataset);
}
