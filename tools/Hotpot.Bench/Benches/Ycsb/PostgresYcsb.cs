using Hotpot.Bench.Node;
using Npgsql;
using NpgsqlTypes;

namespace Hotpot.Bench.Benches.Ycsb;

/// <summary>PostgreSQL: one table, one connection with prepared statements for each client.</summary>
internal sealed class PostgresYcsb : IYcsbStore
{
    private readonly NpgsqlConnection _connection;
    private readonly NpgsqlCommand _read;
    private readonly NpgsqlCommand _update;
    private readonly NpgsqlCommand _insert;
    private readonly NpgsqlCommand _scan;

    private PostgresYcsb(NpgsqlConnection connection)
    {
        _connection = connection;
        _read = Prepare("SELECT value FROM ycsb WHERE key = $1", NpgsqlDbType.Bytea);
        _update = Prepare("UPDATE ycsb SET value = $1 WHERE key = $2", NpgsqlDbType.Bytea, NpgsqlDbType.Bytea);
        _insert = Prepare("INSERT INTO ycsb (value, key) VALUES ($1, $2)", NpgsqlDbType.Bytea, NpgsqlDbType.Bytea);
        _scan = Prepare("SELECT key, value FROM ycsb WHERE key >= $1 ORDER BY key LIMIT $2", NpgsqlDbType.Bytea, NpgsqlDbType.Integer);
    }

    public static async Task<IYcsbStore> OpenAsync(WorkloadContext context)
    {
        NpgsqlConnection connection = new(context.Spec["connection"]);
        await connection.OpenAsync();
        return new PostgresYcsb(connection);
    }

    public static async Task<IYcsbStore> CreateAsync(WorkloadContext context)
    {
        await using (NpgsqlConnection connection = new(context.Spec["connection"]))
        {
            await connection.OpenAsync();
            // Rows keep room for their next versions in the page, and values stay in the row and are not compressed: the cheapest update there is.
            await using NpgsqlCommand create = new(
                "CREATE TABLE ycsb (key bytea PRIMARY KEY, value bytea NOT NULL) WITH (fillfactor = 60); ALTER TABLE ycsb ALTER COLUMN value SET STORAGE PLAIN", connection);
            await create.ExecuteNonQueryAsync();
        }

        return await OpenAsync(context);
    }

    public ValueTask<int?> ReadAsync(byte[] key, byte[] buffer)
    {
        _read.Parameters[0].Value = key;
        using var reader = _read.ExecuteReader();
        return ValueTask.FromResult<int?>(reader.Read() ? (int)reader.GetBytes(0, 0, buffer, 0, buffer.Length) : null);
    }

    public Task UpdateAsync(byte[] key, ReadOnlyMemory<byte> value) => Change(_update, key, value);

    public Task InsertAsync(byte[] key, ReadOnlyMemory<byte> value) => Change(_insert, key, value);

    public ValueTask<int> ScanAsync(byte[] from, int records, byte[] buffer)
    {
        _scan.Parameters[0].Value = from;
        _scan.Parameters[1].Value = records;
        using var reader = _scan.ExecuteReader();
        var count = 0;
        for (; reader.Read(); count++)
            reader.GetBytes(1, 0, buffer, 0, buffer.Length);
        return ValueTask.FromResult(count);
    }

    public async Task LoadAsync(IEnumerable<KeyValuePair<byte[], byte[]>> records)
    {
        await using var copy = await _connection.BeginBinaryImportAsync("COPY ycsb (key, value) FROM STDIN (FORMAT BINARY)");
        foreach (var (key, value) in records)
        {
            await copy.StartRowAsync();
            await copy.WriteAsync(key, NpgsqlDbType.Bytea);
            await copy.WriteAsync(value, NpgsqlDbType.Bytea);
        }

        await copy.CompleteAsync();
    }

    public ValueTask DisposeAsync() => _connection.DisposeAsync();

    private NpgsqlCommand Prepare(string text, params NpgsqlDbType[] types)
    {
        NpgsqlCommand command = new(text, _connection);
        foreach (var type in types)
            command.Parameters.Add(new NpgsqlParameter { NpgsqlDbType = type, Value = type == NpgsqlDbType.Integer ? 0 : Array.Empty<byte>() });
        command.Prepare();
        return command;
    }

    private static Task Change(NpgsqlCommand command, byte[] key, ReadOnlyMemory<byte> value)
    {
        command.Parameters[0].Value = value;
        command.Parameters[1].Value = key;
        var rows = command.ExecuteNonQuery();
        return rows == 1 ? Task.CompletedTask : throw new IOException($"A change of PostgreSQL met {rows} rows where one was meant.");
    }
}
