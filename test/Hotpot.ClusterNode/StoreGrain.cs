using System.Collections.Concurrent;
using System.Text;
using Hotpot.Grains.Placement;
using Hotpot.Store;

namespace Hotpot.ClusterNode;

/// <summary>Keeps each store open for the life of the process.</summary>
internal sealed class Stores(IHotpot hotpot)
{
    // A node may be down: two copies are enough for the tests that kill one.
    private static readonly CommitOptions Options = new() { MinDegree = 2, Timeout = TimeSpan.FromMinutes(1) };

    // Entries are added only.
    private readonly ConcurrentDictionary<string, Lazy<Task<RecordStore>>> _open = new(StringComparer.Ordinal);

    public Task<RecordStore> OpenAsync(string name) => _open.GetOrAdd(name, key => new(() => RecordStore.OpenAsync(hotpot, key, Options))).Value;

    public Task<RecordStore> CreateAsync(string name, StoreOptions options) =>
        _open.GetOrAdd(name, key => new(() => RecordStore.CreateAsync(hotpot, key, options, Options))).Value;
}

[OnNode]
[Reentrant]
internal sealed class StoreGrain(Stores stores) : Grain, IStoreGrain
{
    public async Task CreateAsync(string store, long bytes, long stripeBytes, int degree) =>
        await stores.CreateAsync(store, new StoreOptions { Bytes = bytes, StripeBytes = stripeBytes, Degree = degree });

    public async Task PutAsync(string store, string key, byte[] value)
    {
        RecordStore opened = await stores.OpenAsync(store);
        await Task.Run(() => opened.PutAsync(Encoding.UTF8.GetBytes(key), value));
    }

    public async Task<bool> DeleteAsync(string store, string key)
    {
        RecordStore opened = await stores.OpenAsync(store);
        return await Task.Run(() => opened.DeleteAsync(Encoding.UTF8.GetBytes(key)));
    }

    public async Task<byte[]?> ReadAsync(string store, string key)
    {
        RecordStore opened = await stores.OpenAsync(store);
        return await Task.Run(() => opened.Read(Encoding.UTF8.GetBytes(key)));
    }

    public async Task<Dictionary<string, byte[]>> ReadAllAsync(string store)
    {
        RecordStore opened = await stores.OpenAsync(store);
        return await Task.Run(() =>
        {
            Dictionary<string, byte[]> all = [];
            opened.Scan([], int.MaxValue, (key, value) => all.Add(Encoding.UTF8.GetString(key), value.ToArray()));
            return opened.Check().Records == all.Count ? all : throw new InvalidOperationException("A scan does not find all records.");
        });
    }
}
