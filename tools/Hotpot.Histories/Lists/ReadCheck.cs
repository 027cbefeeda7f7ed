using Hotpot.Histories.Checking;

namespace Hotpot.Histories.Lists;

/// <summary>Whether each element read is one that may be read: somebody's, not a failed one's, not one on the way.</summary>
internal static class ReadCheck
{
    public static void Run(ListHistory list, List<Anomaly> findings)
    {
        var reported = new HashSet<long>();
        foreach (var read in list.Reads)
        {
            foreach (var value in read.Values)
            {
                if (!list.Appends.TryGetValue(value, out var append))
                {
                    if (reported.Add(value)) findings.Add(new Anomaly(AnomalyKind.GarbageRead, $"list {list.Key} holds {value}, which nobody appended", [read.Transaction.Operation]));
                }
                else if (append.Transaction.Operation.Outcome == Outcome.Fail && reported.Add(value))
                {
                    findings.Add(new Anomaly(AnomalyKind.G1a, $"list {list.Key} holds {value}, whose append failed", [append.Transaction.Operation, read.Transaction.Operation]));
                }
            }
            if (read.Values.Count > 0 && list.Appends.TryGetValue(read.Values[^1], out var last) && !last.LastOfTransaction && last.Transaction != read.Transaction)
                findings.Add(new Anomaly(AnomalyKind.G1b, $"list {list.Key} ends with {last.Value}, after which the same transaction appended more", [last.Transaction.Operation, read.Transaction.Operation]));
        }
        foreach (var appends in list.Appends.Values.GroupBy(append => append.Transaction))
        {
            var positions = appends.Select(append => list.PositionOf(append.Value)).ToList();
            if (positions.Zip(positions.Skip(1)).Any(pair => pair.First > pair.Second))
                findings.Add(new Anomaly(AnomalyKind.IncompatibleOrder, $"list {list.Key} does not hold a transaction's elements in the order in which it appended them", [appends.Key.Operation]));
        }
    }
}
