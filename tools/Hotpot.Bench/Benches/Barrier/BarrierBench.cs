using Hotpot.Bench.Harness;

namespace Hotpot.Bench.Benches.Barrier;

// Rounds of a barrier whose participants live on three nodes, against one call of a grain on another node. The first participant's times are told: from its arrival to
// the moment when it goes on. The call does nothing, so it is the least that any participant, whose barrier lives on one of the nodes, has to pay.
internal sealed class BarrierBench : IBenchmark
{
    private const int Nodes = 3;

    public string Name => "barrier";

    public string What => "rounds of a barrier of 3 and 16 participants, against one grain call";

    public async Task RunAsync(BenchContext context, CancellationToken cancellation)
    {
        foreach (var placement in Placement.Both)
        {
            await using var cluster = await BenchCluster.StartAsync(Nodes, Medium.Pmem, placement, "tcp", cancellation);
            var call = await cluster.SideAsync(0, "one grain call", GrainCallWorkload.Spec(cluster.Nodes[1].Id), context.Quick ? 500 : 2000, TimeSpan.FromSeconds(10));
            await Duel.WarmAsync(call, TimeSpan.FromSeconds(context.Quick ? 0.5 : 3), cancellation);
            foreach (var participants in (int[])[3, 16])
                await RunAsync(context, cluster, participants, call, cancellation);
        }
    }

    private static async Task RunAsync(BenchContext context, BenchCluster cluster, int participants, Side call, CancellationToken cancellation)
    {
        var rounds = context.Quick ? 200 : 1000;
        var sides = new Side[Nodes];
        for (var node = 0; node < Nodes; node++)
        {
            var here = (participants - node + Nodes - 1) / Nodes;
            sides[node] = await cluster.SideAsync(node, $"node {node}", BarrierWorkload.Spec($"barrier-{participants}", participants, here), rounds, TimeSpan.FromMinutes(1));
        }

        var all = Together.ByFirst("barrier", sides);
        await Duel.WarmAsync(all, TimeSpan.FromSeconds(context.Quick ? 0.5 : 3), cancellation);
        var row = new Row { Case = $"{participants} participants on 3 nodes", Placement = cluster.Placement.Name, Transport = "grain calls", Medium = "none", N = 0 };
        context.Report.Add(await Duel.RunAsync(row, all, call, 0.5, Duel.TurnsMin, cancellation));
    }
}
