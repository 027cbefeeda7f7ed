using Hotpot.Bench.Harness;

namespace Hotpot.Bench.Benches.Open;

/// <summary>What the size of a dataset costs before anything is in it: stated, without a peer. A size that is 1024 times as large must not cost 1024 times as much.</summary>
internal sealed class OpenBench : IBenchmark
{
    internal static readonly (string Name, long Bytes)[] s_sizes = [("1 GiB", 1L << 30), ("32 GiB", 32L << 30), ("1 TiB", 1L << 40)];

    private static readonly TimeSpan s_turn = TimeSpan.FromSeconds(2);

    /// <summary>How many datasets a turn makes at most. No address is given twice, so those of 1 TiB must be few: the region has room for 32 of them by default.</summary>
    internal static int OperationsOf(long bytes, bool quick) => bytes >= 1L << 40 ? 4 : quick ? 5 : 25;

    public string Name => "open";

    public string What => "creating, opening, mapping and first touching a sparse dataset of 1 TiB";

    public async Task RunAsync(BenchContext context, CancellationToken cancellation)
    {
        foreach (var placement in Placement.Both)
        {
            await using var cluster = await BenchCluster.StartAsync(2, Medium.Pmem, placement, transports: null, cancellation);
            foreach (var (name, bytes) in s_sizes)
            {
                var side = await cluster.SideAsync(0, name, SparseOpen.Spec(bytes), OperationsOf(bytes, context.Quick), s_turn);
                context.Report.Add(await Duel.StateAsync(
                    new Row { Case = $"open and map {name}", Placement = placement.Name, Transport = cluster.TransportName, Medium = "pmem", N = 0 },
                    side, Duel.TurnsMin, cancellation));
            }
        }
    }
}
