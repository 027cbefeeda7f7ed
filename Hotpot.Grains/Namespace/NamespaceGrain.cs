using Hotpot.Grains.Membership;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Hotpot.Grains.Namespace;

// The flat namespace.
//
// Create: the entry is stored first, then the dataset grain opens the dataset everywhere. A crash in between leaves an entry whose dataset nobody has
// initialised; the caller asks again with the same request id, finds the entry and the second step is repeated. Until then
// the dataset can be opened all the same, because a node that joins brings its description along.
// Remove: the entry is marked, the dataset grain drops the bytes everywhere, then the entry goes. A crash in between leaves a marked
// entry, and removing again finishes the work.
//
// A second activation: the actor host promises one activation in the absence of failures. A silo that slept through its own death, and on Orleans any two silos
// that disagree about the membership for a while, can have another, and what that one remembers may be long out of date. Its writes fail by their ETags;
// but "there is no such dataset" is an answer that applications act on. So this grain answers nothing from memory: every read reads
// the stored record, every change begins with reading it. Datasets are opened rarely, and a record is a few hundred bytes for each.
//
// Invariants: ids and addresses only grow; names of entries are distinct. Turns that change do not interleave; reads do, and have a record of their own (`looked`),
// because reading into `state` while a change is being written would pair an old state with a new ETag.
internal sealed partial class NamespaceGrain(
    [PersistentState(NamespaceGrain.Record, HotpotGrainsOptions.StorageName)] IPersistentState<NamespaceState> state,
    [PersistentState(NamespaceGrain.Record, HotpotGrainsOptions.StorageName)] IPersistentState<NamespaceState> looked,
    IClusterView cluster, IOptions<HotpotGrainsOptions> options, ILogger<NamespaceGrain> logger)
    : Grain, INamespaceGrain
{
    private const string Record = "namespace";

    // One look at a time, so that a look that began earlier cannot put its older state in the place of a newer one.
    private readonly SemaphoreSlim _looking = new(1, 1);

    public async Task<DatasetDescription> CreateAsync(CreateDatasetRequest request)
    {
        await state.ReadStateAsync();
        if (state.State.Entries.FirstOrDefault(entry => entry.RequestId == request.RequestId && !entry.IsRemoving) is { } earlier)
        {
            await GrainFactory.DatasetGrain(earlier.Description.Id).InitializeAsync(earlier.Description);
            return earlier.Description;
        }
        ulong region = options.Value.RegionEnd - options.Value.RegionStart;
        long size = NamespaceRules.Validate(request, cluster.Current.Live.Count, region);
        if (state.State.Entries.Any(entry => entry.Description.Name == request.Name))
            throw DatasetExistsException.Named(request.Name);
        NamespaceState current = state.State;
        (ulong address, ulong next) = NamespaceRules.Allocate(current.NextBase, size, options.Value.RegionStart, options.Value.RegionEnd);
        DatasetDescription description = new()
        {
            Id = new DatasetId(current.NextId),
            Name = request.Name,
            BaseAddress = address,
            Size = size,
            ChunkLog2 = request.ChunkLog2,
            Degree = request.Degree,
            Mode = request.Mode,
        };
        NamespaceEntry entry = new() { Description = description, RequestId = request.RequestId };
        await StoreAsync(new NamespaceState { NextId = current.NextId + 1, NextBase = next, Entries = [.. current.Entries, entry] });
        await GrainFactory.DatasetGrain(description.Id).InitializeAsync(description);
        LogCreated(description.Name, description.Id, description.Size, description.Degree);
        return description;
    }

    public async Task<DatasetDescription?> FindAsync(string name) =>
        (await LookAsync()).FirstOrDefault(entry => entry.Description.Name == name && !entry.IsRemoving)?.Description;

    public async Task<DatasetDescription[]> ListAsync() =>
    [
        .. (await LookAsync()).Where(entry => !entry.IsRemoving).Select(entry => entry.Description).OrderBy(description => description.Name, StringComparer.Ordinal),
    ];

    public async Task<bool> RemoveAsync(string name)
    {
        await state.ReadStateAsync();
        if (state.State.Entries.FirstOrDefault(entry => entry.Description.Name == name) is not { } entry)
            return false;
        if (!entry.IsRemoving)
            await StoreAsync(Copy([.. state.State.Entries.Select(other => other == entry ? entry with { IsRemoving = true } : other)]));
        await GrainFactory.DatasetGrain(entry.Description.Id).DropAsync();
        await StoreAsync(Copy([.. state.State.Entries.Where(other => other.Description.Id != entry.Description.Id)]));
        LogRemoved(name, entry.Description.Id);
        return true;
    }

    private NamespaceState Copy(List<NamespaceEntry> entries) =>
        new() { NextId = state.State.NextId, NextBase = state.State.NextBase, Entries = entries };

    private async Task StoreAsync(NamespaceState next)
    {
        state.State = next;
        try
        {
            await state.WriteStateAsync();
        }
        catch (Exception)
        {
            // Whether the write happened is unknown: this activation must not go on from either state, the next one reads what is true.
            DeactivateOnIdle();
            throw;
        }
    }

    /// <summary>What is stored now.</summary>
    private async Task<IReadOnlyList<NamespaceEntry>> LookAsync()
    {
        await _looking.WaitAsync();
        try
        {
            await looked.ReadStateAsync();
            return looked.State.Entries;
        }
        finally
        {
            _looking.Release();
        }
    }

    [LoggerMessage(LogLevel.Information, "Dataset '{Name}' was created with id {Id}, {Size} bytes and degree {Degree}.")]
    private partial void LogCreated(string name, DatasetId id, long size, int degree);

    [LoggerMessage(LogLevel.Information, "Dataset '{Name}' with id {Id} was removed.")]
    private partial void LogRemoved(string name, DatasetId id);
}
