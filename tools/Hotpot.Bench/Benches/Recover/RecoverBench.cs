using System.Diagnostics;
using Hotpot.Bench.Harness;
using Hotpot.Bench.Node;
using Hotpot.Clients;

namespace Hotpot.Bench.Benches.Recover;

// What the death of an owner costs: stated, without a peer.
//
// Three nodes; one owns a whole dataset and is killed without notice. From the kill on are measured:
//   detected     the map has changed: the death was noticed, decided, and every chunk of the node fenced
//   promoted     every chunk is served by a new owner
//   reads        another node reads a word of every chunk, begun with the kill: when it is through, and its slowest word
//   degree 2: restored   the two that are left hold every chunk twice again; what travels is the whole dataset
//   degree 3: caught up  the killed node is started again with its data, and holds every chunk again; what travels is digests
internal sealed class RecoverBench : IBenchmark
{
    private const int Nodes = 3;
    private const int Owner = 0;
    private const int Reader = 1;

    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(5);

    public string Name => "recover";

    public string What => "kill -9 of an owner: promotion in seconds for each GiB, reads meanwhile, restoring the degree";

    public async Task RunAsync(BenchContext context, CancellationToken cancellation)
    {
        long[] sizes = context.Quick ? [64, 256] : [256, 512, 1024];
        foreach (var placement in context.Quick ? [Placement.Free] : Placement.Both)
        {
            foreach (var degree in context.Quick ? (int[])[2] : [2, 3])
            {
                foreach (var mib in sizes)
                    await CaseAsync(context, placement, degree, mib, repeats: context.Quick ? 1 : 3, cancellation);
            }
        }
    }

    private static async Task CaseAsync(BenchContext context, Placement placement, int degree, long mib, int repeats, CancellationToken cancellation)
    {
        List<Turn> turns = [];
        for (var repeat = 0; repeat < repeats; repeat++)
        {
            // A cluster for each: what one recovery leaves behind (ownership, logs) is not the next one's beginning.
            await using var cluster = await BenchCluster.StartAsync(Nodes, Medium.Pmem, placement, transports: null, cancellation, BenchCluster.NoMigration);
            turns.Add(await OnceAsync(cluster, degree, mib, cancellation));
        }

        context.Report.Add(Duel.State(
            new Row { Case = $"promotion of {mib} MiB, degree {degree}", Placement = placement.Name, Transport = "shm", Medium = "pmem", N = 0 }, turns));
    }

    private static async Task<Turn> OnceAsync(BenchCluster cluster, int degree, long mib, CancellationToken cancellation)
    {
        var dataset = await cluster.Hotpot.CreateDatasetAsync("recovered", mib << 20, new DatasetOptions { Degree = degree }, cancellation);
        await RunAsync(Owner, new WorkloadSpec { Kind = FillWorkload.Kind, Parameters = { ["dataset"] = dataset.Name } });
        await HealthWatch.UntilAsync(cluster, dataset, Stopwatch.GetTimestamp(), HealthWatch.IsWhole, cancellation);
        var reads = await cluster.SideAsync(Reader, ChunkReads.Kind, ChunkReads.Spec(dataset.Name), operations: 1, s_limit);
        var before = (await dataset.StatAsync(cancellation)).Health.MapVersion;
        var killed = Stopwatch.GetTimestamp();
        await cluster.KillAsync(Owner);
        var reading = reads.RunAsync(cancellation);
        var detected = await HealthWatch.UntilAsync(cluster, dataset, killed, health => health.MapVersion > before, cancellation);
        var promoted = await HealthWatch.UntilAsync(cluster, dataset, killed, health => health.MapVersion > before && health.Recovering == 0, cancellation);
        var read = await reading;
        Dictionary<string, double> more = new()
        {
            ["detected_ms"] = detected.TotalMilliseconds,
            ["promotion_s_per_gib"] = (promoted - detected).TotalSeconds / (mib / 1024.0),
            ["all_read_ms"] = read.Seconds * 1e3,
            ["slowest_read_ms"] = read.Us.Max() / 1e3,
        };
        if (degree < Nodes)
        {
            var restored = await HealthWatch.UntilAsync(cluster, dataset, killed, HealthWatch.IsWhole, cancellation);
            more["restored_mib_s"] = mib / (restored - promoted).TotalSeconds;
        }
        else
        {
            var started = Stopwatch.GetTimestamp();
            await cluster.RestartAsync(Owner, cancellation);
            var up = Stopwatch.GetElapsedTime(started);
            more["start_ms"] = up.TotalMilliseconds;
            var whole = await HealthWatch.UntilAsync(cluster, dataset, started, HealthWatch.IsWhole, cancellation);
            more["caught_up_ms"] = whole.TotalMilliseconds;
        }

        return new Turn { Us = [promoted.TotalMicroseconds], Operations = 1, Seconds = promoted.TotalSeconds, More = more };

        async Task RunAsync(int node, WorkloadSpec spec) => await (await cluster.SideAsync(node, spec.Kind, spec, operations: 1, s_limit)).RunAsync(cancellation);
    }
}
