using Hotpot.Bench.Benches.Commit;
using Hotpot.Bench.Harness;
using Hotpot.Bench.Node;
using Npgsql;
using NpgsqlTypes;

namespace Hotpot.Bench.Benches.CommitFile;

/// <summary>Writers with a connection each: a prepared UPDATE of one row by its key, which is a transaction of its own and one round trip.</summary>
internal sealed class PostgresWritersWorkload : IWorkload
{
    public const string Kind = "postgres-writers";

    private readonly NpgsqlConnection[] _connections;
    private readonly NpgsqlCommand[] _commands;
    private readonly Records[] _records;
    private readonly byte[][] _values;

    private PostgresWritersWorkload(NpgsqlConnection[] connections, NpgsqlCommand[] commands, int bytes)
    {
        _connections = connections;
        _commands = commands;
        _records = [.. commands.Select(_ => new Records(1, bytes))];
        _values = [.. commands.Select(_ => new byte[bytes])];
    }

    public static WorkloadSpec Spec(string connection, int writers, int bytes) => new()
    {
        Kind = Kind, Parameters = new() { ["connection"] = connection, ["writers"] = $"{writers}", ["bytes"] = $"{bytes}" },
    };

    public static async Task<IWorkload> CreateAsync(WorkloadContext context)
    {
        var spec = context.Spec;
        var (writers, bytes) = ((int)spec.Number("writers"), (int)spec.Number("bytes"));
        // Rows keep room for their next versions in the page, and the values stay in the row: the cheapest update there is.
        await using (var setup = await OpenAsync(spec))
        {
            await ExecuteAsync(setup, "CREATE TABLE IF NOT EXISTS records (id int PRIMARY KEY, value bytea NOT NULL) WITH (fillfactor = 40)");
            await ExecuteAsync(setup, "ALTER TABLE records ALTER COLUMN value SET STORAGE PLAIN");
            await ExecuteAsync(setup, $"INSERT INTO records SELECT id, decode(repeat('00', {bytes}), 'hex') FROM generate_series(0, {writers - 1}) id ON CONFLICT DO NOTHING");
        }

        var connections = await Task.WhenAll(Enumerable.Range(0, writers).Select(_ => OpenAsync(spec)));
        var commands = await Task.WhenAll(connections.Select((connection, writer) => PrepareAsync(connection, writer)));
        return new PostgresWritersWorkload(connections, commands, bytes);
    }

    // One writer waits in a system call; several do without threads, as ours do.
    public Task<Turn> RunAsync(int operations, TimeSpan limit) => _commands.Length == 1
        ? WriterLoops.RunOnThreadsAsync(1, limit, writer => Check(Next(writer).ExecuteNonQuery()))
        : WriterLoops.RunAsync(_commands.Length, limit, async writer => Check(await Next(writer).ExecuteNonQueryAsync().ConfigureAwait(false)));

    public async ValueTask DisposeAsync()
    {
        foreach (var command in _commands)
            await command.DisposeAsync();
        foreach (var connection in _connections)
            await connection.DisposeAsync();
    }

    private static async Task<NpgsqlConnection> OpenAsync(WorkloadSpec spec)
    {
        var connection = new NpgsqlConnection(spec["connection"]);
        await connection.OpenAsync();
        return connection;
    }

    private static async Task ExecuteAsync(NpgsqlConnection connection, string text)
    {
        await using var command = new NpgsqlCommand(text, connection);
        await command.ExecuteNonQueryAsync();
    }

    private static async Task<NpgsqlCommand> PrepareAsync(NpgsqlConnection connection, int writer)
    {
        var command = new NpgsqlCommand("UPDATE records SET value = $1 WHERE id = $2", connection)
        {
            Parameters = { new NpgsqlParameter { NpgsqlDbType = NpgsqlDbType.Bytea, Value = Array.Empty<byte>() }, new NpgsqlParameter<int> { TypedValue = writer } },
        };
        await command.PrepareAsync();
        return command;
    }

    private static void Check(int rows)
    {
        if (rows != 1)
            throw new IOException($"An update of PostgreSQL changed {rows} rows where one was meant.");
    }

    private NpgsqlCommand Next(int writer)
    {
        _records[writer].NextBytes().CopyTo(_values[writer]);
        _commands[writer].Parameters[0].Value = _values[writer];
        return _commands[writer];
    }
}
