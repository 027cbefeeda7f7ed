namespace Hotpot.Bench.Benches.Ycsb;

/// <summary>
/// One client thread's way into a store: ours, or a peer's. A change returns when it is as durable as the store promises. An implementation over a blocking socket completes
/// in place; the client has a thread of its own.
/// </summary>
internal interface IYcsbStore : IAsyncDisposable
{
    /// <summary>The length of the value, which is in the buffer; null: no such record.</summary>
    ValueTask<int?> ReadAsync(byte[] key, byte[] buffer);

    Task UpdateAsync(byte[] key, ReadOnlyMemory<byte> value);

    Task InsertAsync(byte[] key, ReadOnlyMemory<byte> value);

    /// <summary>Reads so many records in the order of keys, keys and values; returns how many there were.</summary>
    ValueTask<int> ScanAsync(byte[] from, int records, byte[] buffer);

    /// <summary>Many records at once, before anything is measured.</summary>
    Task LoadAsync(IEnumerable<KeyValuePair<byte[], byte[]>> records);
}
