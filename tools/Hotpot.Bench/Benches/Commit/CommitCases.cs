using Hotpot.Bench.Harness;
using Hotpot.Bench.Peers;

namespace Hotpot.Bench.Benches.Commit;

/// <summary>The cases of one placement and transport, one after the other. The writer is on node 0.</summary>
internal sealed class CommitCases(BenchContext context, BenchCluster cluster, RedisServers? plain, RedisServers? append, UcxPair ucx)
{
    private const int Operations = 20_000;
    private const int Small = 1 << 10;
    private const int Page = 4 << 10;

    // A commit's record beside its bytes, and the answer to it.
    private const int RecordBytes = 160;
    private const int AnswerBytes = 64;

    private readonly TimeSpan _turn = TimeSpan.FromMilliseconds(context.Quick ? 80 : 250);

    // Written by the one run, for names.
    private int _datasets;

    private double AcquiredTarget => cluster.Transports == "tcp" ? 2 : 3;

    public async Task RunAsync(CancellationToken cancellation)
    {
        var acquired = await OursAsync("acquired", degree: 3, 1, Small, grant: true, [0], cancellation);
        await DuelAsync("1 KiB, degree 3, acquired", acquired, RedisAsync(append, 1, Small, 2, cancellation), "Redis AOF SET, WAIT 2", AcquiredTarget, cancellation);
        // At most 2.5 times its time.
        await DuelAsync("1 KiB, degree 3, acquired", acquired, FloorAsync(UcxWait.Block), "UCX round trip, blocking", 0.4, cancellation);
        var local = await OursAsync("owner local", degree: 3, 1, Small, grant: false, [0], cancellation);
        await DuelAsync("1 KiB, degree 3, owner local", local, RedisAsync(append, 1, Small, 2, cancellation), "Redis AOF SET, WAIT 2", 1, cancellation);
        if (context.Quick)
            return;

        await DuelAsync("1 KiB, degree 3, acquired", acquired, FloorAsync(UcxWait.Spin), "UCX round trip, spinning", null, cancellation);
        await DuelAsync("1 KiB, degree 3, acquired", acquired, RedisAsync(plain, 1, Small, 2, cancellation), "Redis no AOF SET, WAIT 2", null, cancellation);
        await DuelAsync("1 KiB, degree 3, owner local", local, RedisAsync(plain, 1, Small, 2, cancellation), "Redis no AOF SET, WAIT 2", 1, cancellation);
        var remote = await OursAsync("owner remote", degree: 3, 1, Small, grant: false, [1], cancellation);
        await DuelAsync("1 KiB, degree 3, owner remote", remote, RedisAsync(append, 1, Small, 2, cancellation), "Redis AOF SET, WAIT 2", 1, cancellation);
        var several = await OursAsync("three owners", degree: 3, 3, Small, grant: false, [0, 1, 2], cancellation);
        await DuelAsync("3 x 1 KiB, degree 3, three owners", several, RedisAsync(append, 3, Small, 2, cancellation), "Redis AOF MULTI, WAIT 2", 1, cancellation);
        foreach (var degree in (int[])[1, 2])
        {
            var ours = await OursAsync($"degree {degree}", degree, 1, Small, grant: false, [0], cancellation);
            await DuelAsync(
                $"1 KiB, degree {degree}, owner local", ours, RedisAsync(append, 1, Small, degree - 1, cancellation), degree == 1 ? "Redis AOF SET" : "Redis AOF SET, WAIT 1", 1, cancellation);
        }

        var many = await OursAsync("32 areas", degree: 3, 32, Small, grant: true, [0], cancellation);
        await DuelAsync("32 x 1 KiB, degree 3, acquired", many, RedisAsync(append, 32, Small, 2, cancellation), "Redis AOF MULTI, WAIT 2", AcquiredTarget, cancellation);
        // Less than twice the time of one area.
        await DuelAsync("32 x 1 KiB, degree 3, acquired", many, Task.FromResult<Side?>(acquired), "Hotpot 1 x 1 KiB", 0.5, cancellation);
        var pages = await OursAsync("8 pages", degree: 3, 8, Page, grant: true, [0], cancellation);
        await DuelAsync("8 x 4 KiB, degree 3, acquired", pages, RedisAsync(append, 8, Page, 2, cancellation), "Redis AOF MULTI, WAIT 2", 3, cancellation);
        await DuelAsync("8 x 4 KiB, degree 3, acquired", pages, RedisAsync(plain, 8, Page, 2, cancellation), "Redis no AOF MULTI, WAIT 2", null, cancellation);
    }

    /// <param name="owners">Of the dataset's chunks.</param>
    private async Task<Side> OursAsync(string what, int degree, int areas, int areaBytes, bool grant, int[] owners, CancellationToken cancellation)
    {
        var name = $"commit-{_datasets++}";
        await CommitBench.CreateAsync(cluster, name, degree, singleWriter: grant, owners);
        var side = await cluster.SideAsync(0, what, CommitWorkload.Spec(name, areas, areaBytes, owners.Length, grant), Operations, _turn);
        // The first one runs all of it for the first time, the others a part.
        await Duel.WarmAsync(side, _turn * (_datasets == 1 ? 24 : 8), cancellation);
        return side;
    }

    private async Task<Side?> RedisAsync(RedisServers? redis, int areas, int areaBytes, int replicas, CancellationToken cancellation)
    {
        if (redis is null)
            return null;
        var side = await cluster.SideAsync(0, "Redis", RedisCommitWorkload.Spec(redis.Endpoint(cluster.Transports), areas, areaBytes, replicas), Operations, _turn);
        await Duel.WarmAsync(side, _turn * 4, cancellation);
        return side;
    }

    private Task<Side?> FloorAsync(UcxWait wait) => Task.FromResult<Side?>(ucx.PingPong(wait, Small + RecordBytes, AnswerBytes, Operations, _turn));

    private async Task DuelAsync(string name, Side ours, Task<Side?> theirs, string peer, double? target, CancellationToken cancellation)
    {
        var row = new Row { Case = name, Placement = cluster.Placement.Name, Transport = cluster.TransportName, Medium = "pmem (tmpfs)", N = 0 };
        context.Report.Add(await theirs is { } side
            ? await Duel.RunAsync(row, ours, side with { Name = peer }, target, Duel.TurnsMin, cancellation)
            : await Duel.StateAsync(row, ours, Duel.TurnsMin, cancellation));
    }
}
