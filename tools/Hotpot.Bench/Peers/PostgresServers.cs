using System.Globalization;
using Hotpot.Bench.Harness;
using Npgsql;

namespace Hotpot.Bench.Peers;

// A PostgreSQL primary with two synchronous standbys, on loopback.
//
// synchronous_commit=on with synchronous_standby_names='2 (s1, s2)': a commit returns when its record is flushed on all three, which is what a commit of degree 3
// promises on a file medium. Settings are the server's own, but for room: checkpoints are kept out of the turns, as they are on our side.
//
// The server refuses to run as root; then it runs as the user that Debian's package makes for it, and its folder belongs to that user.
internal sealed class PostgresServers : IAsyncDisposable
{
    private const string SystemUser = "postgres";

    private static readonly TimeSpan s_startLimit = TimeSpan.FromSeconds(60);

    private readonly PeerFolder _folder;
    private readonly int[] _ports = FreePorts.Take(3);
    private readonly Placement _placement;
    private readonly List<PeerProcess> _servers = [];

    private PostgresServers(PeerFolder folder, Placement placement)
    {
        _folder = folder;
        _placement = placement;
    }

    /// <summary>Of the primary.</summary>
    public string ConnectionString => $"{ConnectionOf(0)};Database=postgres;Pooling=false;Include Error Detail=true";

    /// <summary>Returns when both standbys are synchronous.</summary>
    /// <exception cref="PeerNotInstalledException">There is no PostgreSQL server on this machine.</exception>
    public static async Task<PostgresServers> StartAsync(PeerMedium medium, Placement placement, CancellationToken cancellation)
    {
        var initialise = PeerPrograms.FindPostgres("initdb");
        var copy = PeerPrograms.FindPostgres("pg_basebackup");
        var program = PeerPrograms.FindPostgres("postgres");
        var servers = new PostgresServers(new PeerFolder("postgres", medium), placement);
        try
        {
            if (Environment.IsPrivilegedProcess)
                await servers.RunAsync("chown", ["chown", SystemUser, servers._folder.Path], cancellation);
            await servers.RunAsync("initdb", [.. Unprivileged, initialise, "-D", servers.Data(0), "-U", SystemUser, "-A", "trust", "-E", "UTF8", "--no-sync"], cancellation);
            var primary = servers.Start(program, 0);
            await primary.WaitUntilAsync("ready", () => servers.IsReadyAsync(0, cancellation), s_startLimit, cancellation);
            for (var standby = 1; standby <= 2; standby++)
            {
                await servers.RunAsync(
                    "pg_basebackup", [.. Unprivileged, copy, "-D", servers.Data(standby), "-d", $"{servers.Conninfo(standby)}", "-c", "fast", "-R", "--no-sync"], cancellation);
                servers.Start(program, standby);
            }

            await primary.WaitUntilAsync("followed by both standbys", () => servers.IsSynchronousAsync(cancellation), s_startLimit, cancellation);
            return servers;
        }
        catch
        {
            await servers.DisposeAsync();
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        // The postmaster's children notice its death and leave; the primary goes last, so that no standby complains into a log that is gone.
        foreach (var server in Enumerable.Reverse(_servers))
            await server.DisposeAsync();
        await RemoveFolderAsync();
    }

    private static string[] Unprivileged =>
        Environment.IsPrivilegedProcess ? ["setpriv", $"--reuid={SystemUser}", $"--regid={SystemUser}", "--clear-groups"] : [];

    private string Data(int node) => _folder.Inside($"data-{node}");

    private string ConnectionOf(int node) => string.Create(CultureInfo.InvariantCulture, $"Host=127.0.0.1;Port={_ports[node]};Username={SystemUser};Timeout=5");

    /// <summary>How a standby reaches the primary, and under which name.</summary>
    private string Conninfo(int standby) =>
        string.Create(CultureInfo.InvariantCulture, $"host=127.0.0.1 port={_ports[0]} user={SystemUser} application_name=s{standby}");

    private Task RunAsync(string name, string[] command, CancellationToken cancellation) =>
        PeerProcess.RunAsync(name, command, _folder.Inside($"{name}.log"), cancellation);

    private PeerProcess Start(string program, int node)
    {
        string[] command =
        [
            .. Unprivileged, program, "-D", Data(node),
            "-c", string.Create(CultureInfo.InvariantCulture, $"port={_ports[node]}"), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
            "-c", "synchronous_commit=on", "-c", "dynamic_shared_memory_type=mmap", "-c", "max_connections=200", "-c", "max_wal_size=4GB", "-c", "checkpoint_timeout=1h",
        ];
        command = node == 0
            ? [.. command, "-c", "synchronous_standby_names=2 (s1, s2)"]
            : [.. command, "-c", $"primary_conninfo={Conninfo(node)}"];
        var server = PeerProcess.Start($"PostgreSQL {node}", _placement, command, _folder.Inside($"postgres-{node}.log"));
        _servers.Add(server);
        return server;
    }

    private async Task<bool> IsReadyAsync(int node, CancellationToken cancellation) => await AskAsync(node, "SELECT 1", cancellation) == 1;

    private async Task<bool> IsSynchronousAsync(CancellationToken cancellation) =>
        await AskAsync(0, "SELECT count(*)::int FROM pg_stat_replication WHERE state = 'streaming' AND sync_state = 'sync'", cancellation) == 2;

    private async Task<int?> AskAsync(int node, string question, CancellationToken cancellation)
    {
        try
        {
            await using var connection = new NpgsqlConnection($"{ConnectionOf(node)};Database=postgres;Pooling=false");
            await connection.OpenAsync(cancellation);
            await using var command = new NpgsqlCommand(question, connection);
            return (int?)await command.ExecuteScalarAsync(cancellation);
        }
        catch (NpgsqlException)
        {
            // It does not listen yet, or is still starting; the caller asks again, for a bounded time.
            return null;
        }
    }

    /// <summary>Children of a server that was killed may still write into the folder for a moment.</summary>
    private async Task RemoveFolderAsync()
    {
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                _folder.Dispose();
                return;
            }
            catch (IOException) when (attempt < 50)
            {
                await Task.Delay(100);
            }
        }
    }
}
