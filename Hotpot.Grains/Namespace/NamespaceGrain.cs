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
// Invariants: ids and addresses only grow; names of entries are distinct. Turns do not interleave except for reads, which see the
// last stored state: _published is assigned after the write, never before.
internal sealed partial class NamespaceGrain(
    [PersistentState("namespace", HotpotGrainsOptions.StorageName)] IPersistentState<NamespaceState> state,
    IClusterView cluster, IOptions<HotpotGrainsOptions> options, ILogger<NamespaceGrain> logger)
    : Grain, INamespaceGrain
{
    // Written by this grain's turns only; an immutable snapshot for interleaved reads.
    private IReadOnlyList<NamespaceEntry> _published = [];

    public override Task OnActivateAsync(CancellationToken cancellationToken)
    {
        _published = [.. state.State.Entries];
        return Task.CompletedTask;
    }

    public async Task<DatasetDescription> CreateAsync(CreateDatasetRequest request)
    {
        if (_published.FirstOrDefault(entry => entry.RequestId == request.RequestId && !entry.IsRemoving) is { } earlier)
        {
            await GrainFactory.DatasetGrain(earlier.Description.Id).InitializeAsync(earlier.Description);
            return earlier.Description;
        }
        ulong region = options.Value.RegionEnd - options.Value.RegionStart;
        long size = NamespaceRules.Validate(request, cluster.Current.Live.Count, region);
        if (_published.Any(entry => entry.Description.Name == request.Name))
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

    public Task<DatasetDescription?> FindAsync(string name) =>
        Task.FromResult(_published.FirstOrDefault(entry => entry.Description.Name == name && !entry.IsRemoving)?.Description);

    public Task<DatasetDescription[]> ListAsync() => Task.FromResult<DatasetDescription[]>(
    [
        .. _published.Where(entry => !entry.IsRemoving).Select(entry => entry.Description).OrderBy(description => description.Name, StringComparer.Ordinal),
    ]);

    public async Task<bool> RemoveAsync(string name)
    {
        if (_published.FirstOrDefault(entry => entry.Description.Name == name) is not { } entry)
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
        _published = [.. next.Entries];
    }

    [LoggerMessage(LogLevel.Information, "Dataset '{Name}' was created with id {Id}, {Size} bytes and degree {Degree}.")]
    private partial void LogCreated(string name, DatasetId id, long size, int degree);

    [LoggerMessage(LogLevel.Information, "Dataset '{Name}' with id {Id} was removed.")]
    private partial void LogRemoved(string name, DatasetId id);
}
