using System.Diagnostics;
using Hotpot.Bench.Harness;
using Hotpot.Clients;

namespace Hotpot.Bench.Benches.Scale;

// What the number of chunks costs: stated, without a peer. A chunk map of 262,144 chunks is that of 1 TiB in chunks of 4 MiB.
//
// Two nodes and a dataset of degree 2 in which every chunk has an owner and a replica, and no page holds anything: what is measured is the configuration alone.
//   assign     all chunks get their owner and replica, 4096 in a call, as a loader would have it; stored and installed on both nodes
//   one more   the first commit to one further chunk, in a map that is full but for it
//   read       the whole map from the dataset grain, in pages, as a node does that was told that its own is old
//   join       a third node starts, from its process to having joined; beside it the same in a cluster without the dataset
//   promote    the owner of all chunks is killed; from the fence, which its death is detected by, until the last chunk is served again
//
// And whole clusters of 4, 16 and 64 nodes in the simulation, where 64 is what a sharer set has room for: wall time of one core for each acknowledged commit, with everything that
// goes wrong meanwhile. A commit reaches every node that shares its pages, so it may cost as many times as much as there are nodes, and no more.
internal sealed class ScaleBench : IBenchmark
{
    private const long ChunkBytes = 4 << 20;

    public string Name => "scale";

    public string What => "chunk maps of 16,384 to 262,144 chunks: assign, read, join, promote";

    public async Task RunAsync(BenchContext context, CancellationToken cancellation)
    {
        int[] sizes = context.Quick ? [4096, 16384] : [16384, 65536, 262144];
        foreach (var placement in context.Quick ? [Placement.Free] : Placement.Both)
        {
            foreach (var chunks in sizes)
            {
                await using var cluster = await BenchCluster.StartAsync(2, Medium.Pmem, placement, transports: null, cancellation, BenchCluster.NoMigration);
                await CaseAsync(context.Report, cluster, chunks, cancellation);
            }
        }

        await SimulateAsync(context, cancellation);
    }

    private static async Task SimulateAsync(BenchContext context, CancellationToken cancellation)
    {
        if (Simulation.Find() is not { } program)
        {
            context.Report.Skip("64 simulated nodes", $"{Simulation.Program} is not built; ./hotpot test builds it.");
            return;
        }

        foreach (var nodes in context.Quick ? (int[])[4, 64] : [4, 16, 64])
        {
            List<Turn> turns = [];
            for (var seed = 1; seed <= (context.Quick ? 2 : Duel.TurnsMin); seed++)
            {
                try
                {
                    turns.Add(await Simulation.RunAsync(program, nodes, seed, cancellation));
                }
                catch (LocalClusterException failure)
                {
                    context.Report.Skip($"{nodes} simulated nodes, seed {seed}", failure.Message);
                }
            }

            if (turns.Count == 0)
                continue;
            context.Report.Add(Duel.State(
                new Row { Case = $"{nodes} simulated nodes, one commit", Placement = Placement.Free.Name, Transport = "simulated", Medium = "simulated", N = 0 }, turns));
        }
    }

    private static async Task CaseAsync(Report report, BenchCluster cluster, int chunks, CancellationToken cancellation)
    {
        // The first node to be added is the one without the dataset.
        var plain = Stopwatch.GetTimestamp();
        await cluster.AddAsync(cancellation);
        var plainStart = Stopwatch.GetElapsedTime(plain);
        await cluster.KillAsync(2);

        var dataset = await cluster.Hotpot.CreateDatasetAsync("chunks", chunks * ChunkBytes, new DatasetOptions { Degree = 2, ChunkBytes = ChunkBytes }, cancellation);
        var grain = cluster.Client.Grains.DatasetGrain(dataset.Id);
        var owner = cluster.Nodes[0].Id;
        await HealthWatch.UntilAsync(cluster, dataset, Stopwatch.GetTimestamp(), health => health.Members.Length == 2, cancellation);

        List<double> calls = [];
        foreach (var batch in Enumerable.Range(0, chunks - 1).Select(chunk => new ChunkIndex((uint)chunk)).Chunk(ChunkMapPage.MaxEntries))
            calls.Add(await MicrosecondsAsync(() => grain.AssignAsync(batch, owner, minDegree: 2)));
        Add("assign a chunk", [.. calls.Select(call => call / ChunkMapPage.MaxEntries)], new()
        {
            ["all_ms"] = calls.Sum() / 1e3, ["first_call_ms"] = calls[0] / 1e3, ["last_call_ms"] = calls[^1] / 1e3,
        });
        Add("assign one more chunk", [await MicrosecondsAsync(() => grain.AssignAsync([new ChunkIndex((uint)chunks - 1)], owner, minDegree: 2))]);
        Add("read the map", [await MicrosecondsAsync(ReadAsync), await MicrosecondsAsync(ReadAsync), await MicrosecondsAsync(ReadAsync)]);

        var joining = Stopwatch.GetTimestamp();
        await cluster.RestartAsync(2, cancellation);
        var joined = Stopwatch.GetElapsedTime(joining);
        Add("join", [joined.TotalMicroseconds], new() { ["start_without_ms"] = plainStart.TotalMilliseconds });

        var before = (await grain.GetHealthAsync()).MapVersion;
        var killed = Stopwatch.GetTimestamp();
        await cluster.KillAsync(0);
        var detected = await HealthWatch.UntilAsync(cluster, dataset, killed, health => health.MapVersion > before, cancellation);
        var promoted = await HealthWatch.UntilAsync(cluster, dataset, killed, health => health.MapVersion > before && health.Recovering == 0, cancellation);
        Add("promote", [(promoted - detected).TotalMicroseconds], new() { ["detected_ms"] = detected.TotalMilliseconds });

        async Task ReadAsync()
        {
            var entries = 0;
            for (ChunkIndex? from = new ChunkIndex(0); from is { } start;)
            {
                var page = await grain.GetMapAsync(0, start);
                entries += page.Entries.Unpack().Length;
                from = page.Next;
            }

            if (entries != chunks)
                throw new InvalidDataException($"The map of {chunks} chunks has {entries} entries.");
        }

        void Add(string what, double[] us, Dictionary<string, double>? more = null)
        {
            more ??= [];
            more["us_per_chunk"] = what.Contains("assign", StringComparison.Ordinal) ? us.Average() : us.Average() / chunks;
            report.Add(Duel.State(
                new Row { Case = $"{what}, {chunks} chunks", Placement = cluster.Placement.Name, Transport = cluster.TransportName, Medium = "pmem", N = 0, More = more },
                [new Turn { Us = us, Operations = us.Length, Seconds = us.Sum() / 1e6 }]));
        }
    }

    private static async Task<double> MicrosecondsAsync(Func<Task> call)
    {
        var before = Stopwatch.GetTimestamp();
        await call();
        return Samples.Microseconds(Stopwatch.GetTimestamp() - before);
    }
}
