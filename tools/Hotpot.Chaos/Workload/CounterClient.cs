using System.Globalization;
using Hotpot.Chaos.Node;
using Hotpot.Chaos.Orchestration;
using Hotpot.Histories;

namespace Hotpot.Chaos.Workload;

/// <summary>
/// Counts in bytes of its own, in pages that every client counts in: commits to one page from several nodes must merge. Nobody else changes its counters, so it
/// knows what to store next; after an unknown outcome that is one more, as if it had happened, which its next commit then makes true.
/// </summary>
internal sealed class CounterClient(ChaosCluster cluster, Recorder recorder, int slot, int slots, int number, int node, int seed)
    : ChaosClient(cluster, recorder, number, node, seed)
{
    private const int ReadOneIn = 5;

    private readonly long[] _stored = new long[Layout.CounterPages];

    public static string KeyOf(int page, int slot) => string.Create(CultureInfo.InvariantCulture, $"n{page}.{slot}");

    protected override async Task StepAsync(CancellationToken stopping)
    {
        var page = Random.Next(Layout.CounterPages);
        if (Random.Next(ReadOneIn) == 0)
        {
            await DoAsync(
                Histories.Workload.Counter, Evidence.Load, grain => grain.ReadCountersAsync(page, slots),
                reads => [.. Enumerable.Range(0, slots).Select(other => new Access(AccessKind.Read, KeyOf(page, other), reads?[other]))], stopping);
            return;
        }

        var value = _stored[page] + 1;
        var reply = await DoAsync(
            Histories.Workload.Counter, Evidence.Commit, grain => grain.CountAsync(page, slot, value), _ => [Access.Add(KeyOf(page, slot), 1)], stopping);
        if (reply?.Outcome != Outcome.Fail)
            _stored[page] = value;
    }
}
