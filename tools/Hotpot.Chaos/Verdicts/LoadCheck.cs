using Hotpot.Histories;
using Hotpot.Histories.Checking;

namespace Hotpot.Chaos.Verdicts;

/// <summary>
/// Whether lists that were read by plain loads show every append that had been acknowledged when the load began. More is not promised to a plain load: while
/// a commit is being applied, one node may show it before another.
/// </summary>
internal static class LoadCheck
{
    /// <param name="history">Everything about lists, the loads included.</param>
    public static IEnumerable<Anomaly> Run(History history, Func<Operation, bool> isLoad)
    {
        var operations = history.Of(Histories.Workload.List).Where(operation => operation.Outcome == Outcome.Ok).ToList();
        var appends = operations.SelectMany(operation => operation.Accesses.Where(access => access.Kind == AccessKind.Append).Select(access => (Operation: operation, access.Key, Value: access.Values![0])))
            .ToLookup(append => append.Key);
        var loads = operations.Where(isLoad).ToLookup(operation => operation.Accesses[0].Key);
        foreach (var list in loads)
        {
            var acked = appends[list.Key].OrderBy(append => append.Operation.CompleteUs).ToList();
            // Loads come in the order of their beginning, so what one had to show the next has to show too.
            var due = new List<(Operation Operation, string Key, long Value)>();
            var next = 0;
            foreach (var load in list)
            {
                for (; next < acked.Count && acked[next].Operation.CompleteUs < load.InvokeUs; next++)
                    due.Add(acked[next]);
                var shown = load.Accesses[0].Values!.ToHashSet();
                foreach (var missing in due.Where(append => !shown.Contains(append.Value)).Take(1))
                    yield return new Anomaly(AnomalyKind.StaleRead, $"a load of list {list.Key} does not show {missing.Value}, which had been acknowledged", [missing.Operation, load]);
            }
        }
    }
}
