using System.Globalization;
using Hotpot.Bench.Node;
using Hotpot.Bench.Peers;

namespace Hotpot.Bench.Benches.Ycsb;

/// <summary>
/// Redis, as YCSB's binding uses it: a value under its key, and for scans a sorted set of the keys. Every change waits for both replicas in the same round trip.
/// </summary>
internal sealed class RedisYcsb(RespClient client) : IYcsbStore
{
    private const int Replicas = 2;

    /// <summary>Commands that are sent before their answers are read, while records are loaded.</summary>
    private const int LoadBatch = 256;

    public static Task<IYcsbStore> OpenAsync(WorkloadContext context) => Task.FromResult<IYcsbStore>(new RedisYcsb(RespClient.Connect(context.Spec["endpoint"])));

    public ValueTask<int?> ReadAsync(byte[] key, byte[] buffer)
    {
        client.Append("GET"u8, key);
        client.Flush();
        var value = client.ReadBulk();
        value.CopyTo(buffer);
        return ValueTask.FromResult<int?>(value.IsEmpty ? null : value.Length);
    }

    public Task UpdateAsync(byte[] key, ReadOnlyMemory<byte> value)
    {
        client.Append("SET"u8, key, value.Span);
        return EndAsync(inserted: false);
    }

    public Task InsertAsync(byte[] key, ReadOnlyMemory<byte> value)
    {
        client.Append("SET"u8, key, value.Span);
        AppendToIndex(key);
        return EndAsync(inserted: true);
    }

    public ValueTask<int> ScanAsync(byte[] from, int records, byte[] buffer)
    {
        client.Begin(7);
        foreach (var word in (ReadOnlySpan<byte[]>)["ZRANGEBYLEX"u8.ToArray(), "index"u8.ToArray(), [(byte)'[', .. from], "+"u8.ToArray(), "LIMIT"u8.ToArray(), "0"u8.ToArray(), Text(records)])
            client.Argument(word);
        client.Flush();
        var keys = new byte[client.ReadArray()][];
        for (var i = 0; i < keys.Length; i++)
            keys[i] = client.ReadBulk().ToArray();
        if (keys.Length == 0)
            return ValueTask.FromResult(0);
        client.Begin(1 + keys.Length);
        client.Argument("MGET"u8);
        foreach (var key in keys)
            client.Argument(key);
        client.Flush();
        for (var left = client.ReadArray(); left > 0; left--)
            client.ReadBulk().CopyTo(buffer);
        return ValueTask.FromResult(keys.Length);
    }

    public Task LoadAsync(IEnumerable<KeyValuePair<byte[], byte[]>> records)
    {
        foreach (var batch in records.Chunk(LoadBatch))
        {
            foreach (var (key, value) in batch)
            {
                client.Append("SET"u8, key, value);
                AppendToIndex(key);
            }

            client.Flush();
            foreach (var _ in batch)
            {
                client.ReadOk();
                client.ReadInteger();
            }
        }

        return EndAsync(inserted: null);
    }

    public ValueTask DisposeAsync()
    {
        client.Dispose();
        return ValueTask.CompletedTask;
    }

    private static byte[] Text(long number) => System.Text.Encoding.ASCII.GetBytes(number.ToString(CultureInfo.InvariantCulture));

    private void AppendToIndex(byte[] key)
    {
        client.Begin(4);
        client.Argument("ZADD"u8);
        client.Argument("index"u8);
        client.Argument("0"u8);
        client.Argument(key);
    }

    /// <summary>Waits for the replicas; before that come the answers of the change.</summary>
    private Task EndAsync(bool? inserted)
    {
        client.Append("WAIT"u8, "2"u8, "10000"u8);
        client.Flush();
        if (inserted is not null)
            client.ReadOk();
        if (inserted == true)
            client.ReadInteger();
        return client.ReadInteger() >= Replicas ? Task.CompletedTask : throw new IOException("A Redis replica did not follow within 10 s.");
    }
}
