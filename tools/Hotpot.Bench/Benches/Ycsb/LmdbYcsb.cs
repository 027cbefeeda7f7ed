using System.Collections.Concurrent;
using Hotpot.Bench.Node;
using Hotpot.Bench.Peers;

namespace Hotpot.Bench.Benches.Ycsb;

/// <summary>
/// LMDB, in this process and on one file that all node processes share: no server, no replica. Every change is a transaction of its own, flushed to the file, which costs nothing
/// on tmpfs; every read renews a read transaction.
/// </summary>
internal sealed class LmdbYcsb(LmdbTree tree) : IYcsbStore
{
    private readonly LmdbTree.Reader _reader = tree.OpenReader();

    // LMDB allows a process one environment for a file. Entries are added by OpenAsync only.
    private static readonly ConcurrentDictionary<string, Lazy<LmdbTree>> s_open = new(StringComparer.Ordinal);

    public static Task<IYcsbStore> OpenAsync(WorkloadContext context) =>
        Task.FromResult<IYcsbStore>(new LmdbYcsb(s_open.GetOrAdd(context.Spec["file"], file => new(() => new LmdbTree(file, context.Spec.Number("bytes")))).Value));

    public ValueTask<int?> ReadAsync(byte[] key, byte[] buffer) => ValueTask.FromResult(_reader.TryGet(key, buffer));

    public Task UpdateAsync(byte[] key, ReadOnlyMemory<byte> value)
    {
        tree.Put([KeyValuePair.Create(key, value)]);
        return Task.CompletedTask;
    }

    public Task InsertAsync(byte[] key, ReadOnlyMemory<byte> value) => UpdateAsync(key, value);

    public ValueTask<int> ScanAsync(byte[] from, int records, byte[] buffer) => ValueTask.FromResult(_reader.Scan(from, records, buffer));

    public Task LoadAsync(IEnumerable<KeyValuePair<byte[], byte[]>> records)
    {
        foreach (var batch in records.Chunk(4096))
            tree.Put(batch.Select(record => KeyValuePair.Create(record.Key, (ReadOnlyMemory<byte>)record.Value)));
        return Task.CompletedTask;
    }

    public ValueTask DisposeAsync()
    {
        _reader.Dispose();
        return ValueTask.CompletedTask;
    }
}
