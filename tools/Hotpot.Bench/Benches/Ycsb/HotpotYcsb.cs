using System.Collections.Concurrent;
using Hotpot.Bench.Node;
using Hotpot.Store;

namespace Hotpot.Bench.Benches.Ycsb;

/// <summary>The record store of this repository, open in this process. All clients of the process share it.</summary>
internal sealed class HotpotYcsb(RecordStore store) : IYcsbStore
{
    // A store is opened once in a process, whose threads share its locks. Entries are added by OpenAsync only.
    private static readonly ConcurrentDictionary<string, Lazy<Task<RecordStore>>> s_open = new(StringComparer.Ordinal);

    public static async Task<IYcsbStore> OpenAsync(WorkloadContext context) =>
        new HotpotYcsb(await s_open.GetOrAdd(context.Spec["store"], name => new(() => RecordStore.OpenAsync(context.Hotpot, name))).Value);

    /// <summary>By the one node that creates it.</summary>
    public static async Task<IYcsbStore> CreateAsync(WorkloadContext context)
    {
        var spec = context.Spec;
        StoreOptions options = new() { Bytes = spec.Number("bytes"), StripeBytes = spec.Number("stripe_bytes"), Degree = (int)spec.Number("degree") };
        return new HotpotYcsb(await s_open.GetOrAdd(spec["store"], name => new(() => RecordStore.CreateAsync(context.Hotpot, name, options))).Value);
    }

    public ValueTask<int?> ReadAsync(byte[] key, byte[] buffer) => ValueTask.FromResult<int?>(store.TryRead(key, buffer, out var length) ? length : null);

    public Task UpdateAsync(byte[] key, ReadOnlyMemory<byte> value) => store.PutAsync(key, value);

    public Task InsertAsync(byte[] key, ReadOnlyMemory<byte> value) => store.PutAsync(key, value);

    public ValueTask<int> ScanAsync(byte[] from, int records, byte[] buffer)
    {
        // Each value is copied out, as the peers' answers are.
        return ValueTask.FromResult(store.Scan(from, records, (_, value) => value.CopyTo(buffer)));
    }

    public Task LoadAsync(IEnumerable<KeyValuePair<byte[], byte[]>> records) =>
        store.PutManyAsync(records.Select(record => KeyValuePair.Create<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>>(record.Key, record.Value)));

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
