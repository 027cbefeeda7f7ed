using System.Globalization;
using Hotpot.Bench.Harness;
using Hotpot.Bench.Node;
using Hotpot.Bench.Peers;

namespace Hotpot.Bench.Benches.Ycsb;

/// <summary>A store that takes part, loaded and ready.</summary>
internal sealed class YcsbPeer
{
    public required string Name { get; init; }

    /// <summary>The kind of workload of its clients.</summary>
    public required string Kind { get; init; }

    /// <summary>What its clients need to find it.</summary>
    public required IReadOnlyDictionary<string, string> Parameters { get; init; }

    /// <summary>Null: the cluster's.</summary>
    public string? Medium { get; init; }

    /// <summary>How far ahead of it we want to be; null: it is only told.</summary>
    public Func<YcsbMix, double?> TargetOf { get; init; } = _ => null;

    public static async Task<YcsbPeer> HotpotAsync(BenchCluster cluster, long records, BenchContext context)
    {
        const long stripeBytes = 16 << 20;
        // Three records of 1 KB share a page; indexes, and stripes that got more than others, have the rest.
        var bytes = Math.Max(4 * stripeBytes, records * 2400 / stripeBytes * stripeBytes);
        Dictionary<string, string> parameters = new()
        {
            ["store"] = "ycsb", ["bytes"] = Text(bytes), ["stripe_bytes"] = Text(stripeBytes), ["degree"] = Text(cluster.Nodes.Count),
        };
        YcsbPeer peer = new() { Name = "Hotpot.Store", Kind = "ycsb-hotpot", Parameters = parameters };
        await peer.LoadAsync(cluster, records, context);
        return peer;
    }

    /// <summary>Read ten times as fast, half updates three times, everything else ahead.</summary>
    public static YcsbPeer Redis(RedisServers servers) => new()
    {
        Name = "Redis, 2 replicas, WAIT 2", Kind = "ycsb-redis", Medium = "memory",
        Parameters = new Dictionary<string, string> { ["endpoint"] = servers.UnixEndpoint },
        TargetOf = mix => mix.Name switch
        {
            'A' => 3,
            'C' => 10,
            _ => 1,
        },
    };

    public static YcsbPeer Postgres(PostgresServers servers) => new()
    {
        Name = "PostgreSQL, 2 synchronous standbys", Kind = "ycsb-postgres", Medium = "tmpfs",
        Parameters = new Dictionary<string, string> { ["connection"] = servers.ConnectionString }, TargetOf = _ => 1,
    };

    /// <summary>Not replicated, so it is only told how far it is.</summary>
    public static YcsbPeer LmdbOf(PeerFolder folder) => new()
    {
        Name = "LMDB, not replicated", Kind = "ycsb-lmdb", Medium = "tmpfs",
        Parameters = new Dictionary<string, string> { ["file"] = folder.Inside("ycsb.mdb"), ["bytes"] = Text(4L << 30) },
    };

    /// <summary>Connects clients on all nodes.</summary>
    public Task<YcsbClients> ConnectAsync(BenchCluster cluster, YcsbMix mix, long records, int clients) =>
        YcsbClients.StartAsync(cluster, Name, node => Spec(cluster, Kind, node, records, ("mix", mix.Name.ToString()), ("clients", Text(clients))));

    /// <summary>Each node loads its share; the first creates what there is to create.</summary>
    public async Task LoadAsync(BenchCluster cluster, long records, BenchContext context)
    {
        await using var loading = await YcsbClients.StartAsync(cluster, Name, node => Spec(cluster, node == 0 ? Kind + "-create" : Kind + "-load", node, records));
        var loaded = await loading.RunAsync(TimeSpan.Zero);
        context.Display.Line(string.Create(
            CultureInfo.InvariantCulture, $"  {Name} ({cluster.Placement.Name}): {loaded.Operations} records loaded in {loaded.Seconds:0.0} s"));
    }

    private WorkloadSpec Spec(BenchCluster cluster, string kind, int node, long records, params IEnumerable<(string Name, string Value)> others)
    {
        WorkloadSpec spec = new() { Kind = kind, Parameters = new(Parameters) };
        foreach (var (name, value) in others.Concat([("node", Text(node)), ("nodes", Text(cluster.Nodes.Count)), ("records", Text(records))]))
            spec.Parameters[name] = value;
        return spec;
    }

    private static string Text(long number) => number.ToString(CultureInfo.InvariantCulture);
}
