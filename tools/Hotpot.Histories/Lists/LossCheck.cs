using Hotpot.Histories.Checking;

namespace Hotpot.Histories.Lists;

/// <summary>Whether each read shows all appends that were known to have happened when it began.</summary>
internal static class LossCheck
{
    public static void Run(ListHistory list, bool realTime, List<Anomaly> findings)
    {
        if (list.Reads.Count == 0) return;
        var lastRead = list.Reads.MaxBy(read => read.Transaction.Operation.InvokeUs)!;
        // What no read shows, though one began late enough. Whether a transaction of unknown outcome is partial is
        // decided in PartialCheck.
        foreach (var append in list.Appends.Values)
        {
            if (append.Transaction.Ok && list.PositionOf(append.Value) == int.MaxValue && append.Transaction.HappenedByUs < lastRead.Transaction.Operation.InvokeUs && append.Transaction != lastRead.Transaction)
                findings.Add(new Anomaly(AnomalyKind.LostWrite, $"list {list.Key} lost {append.Value}, whose append was acknowledged", [append.Transaction.Operation, lastRead.Transaction.Operation]));
        }
        if (realTime) FindStaleReads(list, findings);
    }

    private static void FindStaleReads(ListHistory list, List<Anomaly> findings)
    {
        var appends = list.Appends.Values.Where(append => list.PositionOf(append.Value) != int.MaxValue && append.Transaction.Happened).OrderBy(append => append.Transaction.HappenedByUs).ToList();
        var next = 0;
        ListAppend? furthest = null;
        foreach (var read in list.Reads) // In the order of invocation.
        {
            for (; next < appends.Count && appends[next].Transaction.HappenedByUs < read.Transaction.Operation.InvokeUs; ++next)
            {
                if (furthest is null || list.PositionOf(furthest.Value) < list.PositionOf(appends[next].Value)) furthest = appends[next];
            }
            if (furthest is not null && list.PositionOf(furthest.Value) >= read.Values.Count)
                findings.Add(new Anomaly(AnomalyKind.StaleRead, $"list {list.Key} was read without {furthest.Value}, which was there before the read began", [furthest.Transaction.Operation, read.Transaction.Operation]));
        }
    }
}
