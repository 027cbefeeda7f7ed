using Hotpot.Histories.Checking;

namespace Hotpot.Histories.Lists;

/// <summary>Whether every transaction of which a part was seen is there as a whole.</summary>
internal static class PartialCheck
{
    public static void Run(IReadOnlyList<Transaction> transactions, IReadOnlyList<ListHistory> lists, List<Anomaly> findings)
    {
        var lastReads = lists.Where(list => list.Reads.Count > 0).ToDictionary(list => list.Key, list => list.Reads.MaxBy(read => read.Transaction.Operation.InvokeUs)!.Transaction.Operation);
        var byKey = lists.ToDictionary(list => list.Key);
        foreach (var transaction in transactions)
        {
            if (!transaction.Happened || transaction.Seen is not { } seen) continue;
            foreach (var access in transaction.Operation.Accesses.Where(access => access.Kind == AccessKind.Append))
            {
                if (byKey[access.Key].PositionOf(access.Values![0]) != int.MaxValue) continue;
                if (!lastReads.TryGetValue(access.Key, out var lastRead) || lastRead.InvokeUs <= seen.TimeUs) continue;
                findings.Add(new Anomaly(
                    AnomalyKind.PartialTransaction,
                    $"list {access.Key} is without {access.Values[0]}, though another append of the same transaction had been seen",
                    [transaction.Operation, seen.Read, lastRead]));
            }
        }
    }
}
