using Hotpot.Chaos.Node;
using Hotpot.Chaos.Orchestration;
using Hotpot.Histories;

namespace Hotpot.Chaos.Workload;

/// <summary>Appends to one to three lists at once, and reads them in two ways.</summary>
internal sealed class ListClient(ChaosCluster cluster, Recorder recorder, Lanes lanes, int number, int node, int seed) : ChaosClient(cluster, recorder, number, node, seed)
{
    protected override Task StepAsync(CancellationToken stopping)
    {
        int[] order = [.. Enumerable.Range(0, Layout.Lanes)];
        Random.Shuffle(order);
        int[] lists = [.. order[..Random.Next(1, 4)].Select(lanes.Current).OfType<int>()];
        if (lists.Length == 0)
            return Task.Delay(TimeSpan.FromSeconds(1), stopping);
        return Random.Next(10) switch
        {
            < 5 => AppendAsync(lists, stopping),
            < 6 => DoAsync(Histories.Workload.List, Evidence.Commit, grain => grain.SnapshotAsync(lists), reads => Reads(lists, reads), stopping),
            _ => DoAsync(Histories.Workload.List, Evidence.Load, grain => grain.LoadListAsync(lists[0]), reads => Reads(lists[..1], reads), stopping),
        };
    }

    private async Task AppendAsync(int[] lists, CancellationToken stopping)
    {
        var element = lanes.NextElement();
        var reply = await DoAsync(
            Histories.Workload.List, Evidence.Commit, grain => grain.AppendAsync(lists, element),
            reads => [.. Reads(lists, reads), .. lists.Select(list => Access.Append(Lanes.KeyOf(list), element))], stopping);
        for (var i = 0; i < reply?.Reads.Length; i++)
        {
            if (reply.Reads[i].Length >= Layout.ListElementsMax)
                lanes.GoOn(lists[i]);
        }
    }

    private static Access[] Reads(int[] lists, long[][]? reads) => [.. lists.Select((list, i) => new Access(AccessKind.Read, Lanes.KeyOf(list), reads?[i]))];
}
