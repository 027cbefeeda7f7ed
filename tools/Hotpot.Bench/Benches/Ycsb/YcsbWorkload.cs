using System.Diagnostics;
using Hotpot.Bench.Harness;
using Hotpot.Bench.Node;

namespace Hotpot.Bench.Benches.Ycsb;

/// <summary>The clients of one node for one store and one mix.</summary>
internal sealed class YcsbWorkload(YcsbClient[] clients) : IWorkload
{
    /// <summary>Sent to the orchestrator of each turn and node; more would only be a longer message.</summary>
    private const int SamplesMax = 1000;

    private const long InsertedPerMixMax = 1_000_000_000;

    /// <summary>A kind of workload: clients of a store that <paramref name="connect"/> opens once for each of them.</summary>
    public static WorkloadFactory With(Func<WorkloadContext, Task<IYcsbStore>> connect) => async context =>
    {
        var spec = context.Spec;
        var mix = YcsbMix.Of(spec["mix"]);
        YcsbRecords records = new(
            spec.Number("records"), (int)spec.Number("nodes"), (int)spec.Number("node"), firstInserted: spec.Number("records") + (mix.Name - 'A') * InsertedPerMixMax);
        var clients = new YcsbClient[spec.Number("clients")];
        for (var i = 0; i < clients.Length; i++)
            clients[i] = new YcsbClient(mix, records, await connect(context), seed: HashCode.Combine(spec.Number("node"), i));
        return new YcsbWorkload(clients);
    };

    /// <summary>A kind of workload whose only turn loads this node's share of the records.</summary>
    public static WorkloadFactory Loading(Func<WorkloadContext, Task<IYcsbStore>> connect) => async context =>
    {
        var spec = context.Spec;
        return new YcsbLoad(await connect(context), spec.Number("records"), (int)spec.Number("nodes"), (int)spec.Number("node"));
    };

    public async Task<Turn> RunAsync(int operations, TimeSpan limit)
    {
        var started = Stopwatch.GetTimestamp();
        // A client over a blocking socket stays on its thread.
        var running = clients.Select(client => Task.Factory.StartNew(
            () => client.RunAsync(operations / clients.Length, limit), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default).Unwrap());
        var counts = await Task.WhenAll(running);
        return new Turn
        {
            Us = [.. counts.SelectMany(count => count.ReadUs.Concat(count.WriteUs)).Take(SamplesMax)],
            Operations = counts.Sum(count => count.Operations),
            Seconds = Stopwatch.GetElapsedTime(started).TotalSeconds,
            More = new(Percentiles("read", counts.SelectMany(count => count.ReadUs)).Concat(Percentiles("write", counts.SelectMany(count => count.WriteUs)))),
        };
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var client in clients)
            await client.DisposeAsync();
    }

    private static IEnumerable<KeyValuePair<string, double>> Percentiles(string what, IEnumerable<double> us)
    {
        double[] all = [.. us];
        if (all.Length == 0)
            return [];
        Samples samples = new(all);
        return [KeyValuePair.Create($"{what}_p50_us", samples.Median), KeyValuePair.Create($"{what}_p99_us", samples.Percentile(99))];
    }
}

/// <summary>Loads a node's share of the records.</summary>
internal sealed class YcsbLoad(IYcsbStore store, long records, int nodes, int node) : IWorkload
{
    public async Task<Turn> RunAsync(int operations, TimeSpan limit)
    {
        var started = Stopwatch.GetTimestamp();
        Random random = new(node);
        await store.LoadAsync(Share(random));
        return new Turn { Us = [], Operations = records / nodes, Seconds = Stopwatch.GetElapsedTime(started).TotalSeconds };
    }

    public ValueTask DisposeAsync() => store.DisposeAsync();

    private IEnumerable<KeyValuePair<byte[], byte[]>> Share(Random random)
    {
        for (long number = node; number < records; number += nodes)
        {
            var value = new byte[YcsbKeys.ValueBytes];
            YcsbKeys.Fill(value, number, random);
            yield return KeyValuePair.Create(YcsbKeys.Of(number), value);
        }
    }
}
