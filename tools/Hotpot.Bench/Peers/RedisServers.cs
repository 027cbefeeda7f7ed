using System.Globalization;
using System.Net.Sockets;
using System.Text;
using Hotpot.Bench.Harness;

namespace Hotpot.Bench.Peers;

/// <summary>How a Redis primary and its replicas are to run.</summary>
internal sealed record RedisOptions
{
    public int Replicas { get; init; } = 2;

    /// <summary>Every node appends each write to its file and flushes it before it answers (`appendfsync always`); otherwise nothing is kept.</summary>
    public bool AppendOnly { get; init; }

    public PeerMedium Medium { get; init; } = PeerMedium.Tmpfs;
}

// A primary and its replicas, on loopback.
//
// Durability: with AppendOnly all nodes flush before they answer, so SET followed by WAIT n is a write that is durable on n + 1 nodes, as a commit of degree n + 1 is.
// WAITAOF says the same and takes about a second for each serial call, so it is not used. Without AppendOnly WAIT says only that n replicas have the write in memory.
//
// Clients come over TCP or the Unix socket of the primary. Redis replicates over TCP only.
internal sealed class RedisServers : IAsyncDisposable
{
    private static readonly TimeSpan s_startLimit = TimeSpan.FromSeconds(20);

    private readonly PeerFolder _folder;
    private readonly int[] _ports;
    private readonly List<PeerProcess> _servers = [];

    private RedisServers(PeerFolder folder, int[] ports)
    {
        _folder = folder;
        _ports = ports;
    }

    /// <summary>For <see cref="RespClient.Connect"/>.</summary>
    public string TcpEndpoint => string.Create(CultureInfo.InvariantCulture, $"tcp:{_ports[0]}");

    /// <inheritdoc cref="TcpEndpoint"/>
    public string UnixEndpoint => $"unix:{SocketOf(0)}";

    /// <summary>The Unix socket stands beside shared memory.</summary>
    /// <param name="transports">Of the cluster it is compared with: "tcp", or null for shared memory.</param>
    public string Endpoint(string? transports) => transports == "tcp" ? TcpEndpoint : UnixEndpoint;

    /// <summary>Returns when every replica is in step with the primary.</summary>
    /// <exception cref="PeerNotInstalledException">There is no Redis on this machine.</exception>
    public static async Task<RedisServers> StartAsync(RedisOptions options, Placement placement, CancellationToken cancellation)
    {
        var program = PeerPrograms.Find("redis-server");
        var servers = new RedisServers(new PeerFolder("redis", options.Medium), FreePorts.Take(options.Replicas + 1));
        try
        {
            for (var node = 0; node <= options.Replicas; node++)
                servers._servers.Add(PeerProcess.Start($"Redis {node}", placement, servers.Command(program, options, node), servers._folder.Inside($"redis-{node}.log")));
            await servers._servers[0].WaitUntilAsync("followed by its replicas", () => Task.FromResult(servers.IsInStep(options.Replicas)), s_startLimit, cancellation);
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
        foreach (var server in _servers)
            await server.DisposeAsync();
        _folder.Dispose();
    }

    private string SocketOf(int node) => _folder.Inside($"{node}.sock");

    private string[] Command(string program, RedisOptions options, int node)
    {
        var port = _ports[node].ToString(CultureInfo.InvariantCulture);
        string[] command =
        [
            program, "--bind", "127.0.0.1", "--port", port, "--unixsocket", SocketOf(node), "--dir", _folder.Create($"redis-{node}"), "--daemonize", "no",
            "--save", "", "--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0",
            "--appendonly", options.AppendOnly ? "yes" : "no", "--appendfsync", "always",
            // A rewrite of the file in the middle of a turn would be measured with it.
            "--auto-aof-rewrite-percentage", "0",
        ];
        return node == 0 ? command : [.. command, "--replicaof", "127.0.0.1", _ports[0].ToString(CultureInfo.InvariantCulture)];
    }

    /// <summary>The primary answers, and counts all replicas as online.</summary>
    private bool IsInStep(int replicas)
    {
        try
        {
            using var client = RespClient.Connect(TcpEndpoint);
            client.Append("INFO"u8, "replication"u8);
            client.Flush();
            var text = Encoding.UTF8.GetString(client.ReadBulk());
            return text.Split("state=online").Length - 1 == replicas;
        }
        catch (SocketException)
        {
            // It does not listen yet; the caller asks again, for a bounded time.
            return false;
        }
    }
}
