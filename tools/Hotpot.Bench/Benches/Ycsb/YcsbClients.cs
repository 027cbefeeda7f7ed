using Hotpot.Bench.Harness;
using Hotpot.Bench.Node;

namespace Hotpot.Bench.Benches.Ycsb;

/// <summary>Clients of one store on all nodes: they run their turns at the same time.</summary>
internal sealed class YcsbClients : IAsyncDisposable
{
    private readonly IBenchGrain[] _nodes;
    private readonly string _key;

    private YcsbClients(string name, IBenchGrain[] nodes, string key)
    {
        Name = name;
        _nodes = nodes;
        _key = key;
    }

    /// <summary>Of the store.</summary>
    public string Name { get; }

    /// <summary>Node after node, because the first one may create what the others open.</summary>
    public static async Task<YcsbClients> StartAsync(BenchCluster cluster, string name, Func<int, WorkloadSpec> specOf)
    {
        YcsbClients clients = new(name, [.. Enumerable.Range(0, cluster.Nodes.Count).Select(cluster.On)], Guid.NewGuid().ToString("N"));
        for (var node = 0; node < clients._nodes.Length; node++)
            await clients._nodes[node].PrepareAsync(clients._key, specOf(node));
        return clients;
    }

    public async Task<Turn> RunAsync(TimeSpan limit)
    {
        var turns = await Task.WhenAll(_nodes.Select(node => node.RunAsync(_key, int.MaxValue, limit)));
        return new Turn
        {
            Us = [.. turns.SelectMany(turn => turn.Us)],
            Operations = turns.Sum(turn => turn.Operations),
            Seconds = turns.Max(turn => turn.Seconds),
            More = turns[0].More.Keys.Where(key => turns.All(turn => turn.More.ContainsKey(key)))
                .ToDictionary(key => key, key => new Samples(turns.Select(turn => turn.More[key])).Median),
        };
    }

    public async ValueTask DisposeAsync() => await Task.WhenAll(_nodes.Select(node => node.EndAsync(_key)));
}
