using Hotpot.Bench.Harness;
using Hotpot.Bench.Node;
using Hotpot.Bench.Peers;

namespace Hotpot.Bench.Benches.Load;

/// <summary>Reading what is here already: a mapped dataset against a plain array, which is the floor, and against LMDB, which maps its file too.</summary>
internal sealed class LoadBench : IBenchmark
{
    private const double OfArray = 1 / 1.15;
    private const double OfLmdb = 3;
    private const string DatasetName = "records";

    private static readonly TimeSpan s_turnLimit = TimeSpan.FromSeconds(2);

    public string Name => "load";

    public string What => "random 1 KiB records of 1 GiB through a warm mapping; against a plain array and LMDB";

    public async Task RunAsync(BenchContext context, CancellationToken cancellation)
    {
        var bytes = context.Quick ? 256L << 20 : 1L << 30;
        var (turns, operations) = context.Quick ? (5, 200_000) : (9, 1_000_000);
        var about = new Row { Case = "", Placement = "", Transport = "none", Medium = "pmem (tmpfs)", N = 0 };
        foreach (var placement in Placement.Both)
        {
            await using var cluster = await BenchCluster.StartAsync(1, Medium.Pmem, placement, transports: null, cancellation);
            await FillWorkload.CreateFilledAsync(cluster, owner: 0, DatasetName, bytes, cancellation);
            var ours = await SideAsync("Hotpot", MappedRecords.Kind, new() { ["dataset"] = DatasetName });
            var placed = about with { Placement = placement.Name };

            var array = await SideAsync("array", ArrayRecords.Kind, new() { ["bytes"] = $"{bytes}" });
            context.Report.Add(await Duel.RunAsync(placed with { Case = $"1 KiB of {bytes >> 20} MiB" }, ours, array, OfArray, turns, cancellation));

            if (!Lmdb.IsInstalled())
            {
                context.Report.Skip($"LMDB ({placement.Name})", "liblmdb is not installed; ./hotpot bench --setup installs it");
                continue;
            }

            foreach (var (name, renew) in new[] { ("LMDB, one transaction", false), ("LMDB, transaction renewed", true) })
            {
                var lmdb = await SideAsync(name, LmdbRecords.Kind, new()
                {
                    ["bytes"] = $"{bytes}", ["file"] = Path.Combine(cluster.Folder.Path, "records.lmdb"), ["renew"] = renew.ToString(),
                });
                context.Report.Add(await Duel.RunAsync(placed with { Case = $"1 KiB of {bytes >> 20} MiB" }, ours, lmdb, OfLmdb, turns, cancellation));
            }

            Task<Side> SideAsync(string name, string kind, Dictionary<string, string> parameters) =>
                cluster.SideAsync(0, name, new WorkloadSpec { Kind = kind, Parameters = parameters }, operations, s_turnLimit);
        }
    }
}
