using System.Collections.Concurrent;
using Hotpot.Clients;

namespace Hotpot.LocalCluster;

/// <summary>A dataset and this process's mapping of it.</summary>
public sealed record MappedDataset(Dataset Dataset, Mapping Mapping)
{
    public unsafe byte* Address => Mapping.Pointer<byte>(0);

    /// <summary>Where a place in the mapping lies in the dataset, for a commit.</summary>
    public ByteRange RangeOf(nint address, long length) => new(Mapping.OffsetOf((ulong)address), length);
}

/// <summary>
/// Maps each dataset once for the life of the process: raw pointers into it are used by several grain calls, and the last
/// unmapping would pull the memory away under them.
/// </summary>
public sealed class MappedDatasets(IHotpot hotpot) : IDisposable
{
    // Entries are added by OpenAsync, and removed by it when opening failed; the factory runs once for each entry because Lazy allows no second run.
    private readonly ConcurrentDictionary<string, Lazy<Task<MappedDataset>>> _open = new(StringComparer.Ordinal);

    public async Task<MappedDataset> OpenAsync(string name)
    {
        var opening = _open.GetOrAdd(name, key => new Lazy<Task<MappedDataset>>(() => MapAsync(key)));
        try
        {
            return await opening.Value.ConfigureAwait(false);
        }
        catch
        {
            // The next caller tries again.
            _open.TryRemove(KeyValuePair.Create(name, opening));
            throw;
        }
    }

    public void Dispose()
    {
        foreach (var opened in _open.Values)
        {
            if (opened is { IsValueCreated: true, Value.IsCompletedSuccessfully: true })
                opened.Value.Result.Mapping.Dispose();
        }
    }

    private async Task<MappedDataset> MapAsync(string name)
    {
        var dataset = await hotpot.OpenAsync(name).ConfigureAwait(false);
        return new MappedDataset(dataset, dataset.Map());
    }
}
