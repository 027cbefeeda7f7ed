using Hotpot.Histories.Checking;

namespace Hotpot.Histories.Lists;

// Whether transactions that read lists and append to them are serialisable, and in real time if asked: the idea of Elle
// (Kingsbury and Alvaro, 2020). Each element is appended once, so a list that is read tells not only which transactions
// it shows but in which order they came: every read of a list must be a prefix of the longest one. That order gives the
// dependencies between transactions,
//
//   ww   the next element of a list is another transaction's
//   wr   the last element read is another transaction's
//   rw   the element after the last one read is another transaction's
//   rt   one had ended before the other began (reduced to what implies the rest)
//
// and a cycle of them is an anomaly whose name depends on its edges: G0 has only ww, G1c also wr, G-single one rw and G2
// several; with rt edges it is the same in real time.
//
// Which transactions happened: all with Outcome.Ok, and those of unknown outcome of which any element was ever read.
// Those happened as a whole, by the time that the first read of one of their elements ended. Of the others nothing is
// required. The appends of one that happened which no read shows come after everything that the reads do show.
//
// Without a cycle but wrong all the same, and found list by list: a read of what was never appended or of what failed
// (G1a), of a transaction's first append without its second (G1b), elements twice or in different orders, a transaction
// that does not see itself. An append that was acknowledged and is missing from a read that began later is lost, if no
// read shows it at all, else that read was stale. A transaction of which a part is lost is also reported as partial.
//
// What a list's reads do not show cannot be judged: a list that nobody read after its last acknowledged append leaves
// the verdict inconclusive.
//
// Cost: time and memory grow with the elements of all reads together, so a recorder should use each list for a few hundred
// appends and then take a new one.
//
// Potential weakness: of transactions that are not Ok the reads are not looked at. Ties of the clock count as overlap.

/// <summary>What is asked of the transactions.</summary>
/// <param name="RealTime">Whether a transaction that had ended before another one began must come before it.</param>
public sealed record ListOptions(bool RealTime = true);

/// <summary>Decides whether list-append transactions keep what was promised.</summary>
public static class ListChecker
{
    /// <summary>Each kind of anomaly is reported this often at most; the first ones say enough.</summary>
    internal const int MaxReportsOfAKind = 16;

    /// <summary>Checks all list transactions of the history.</summary>
    /// <exception cref="HistoryException">An element is appended to a list twice.</exception>
    public static CheckResult Check(History history, ListOptions? options = null)
    {
        options ??= new ListOptions();
        var transactions = history.Of(Workload.List).Select((operation, index) => new Transaction(index, operation)).ToList();
        var findings = new List<Anomaly>();
        foreach (var transaction in transactions.Where(transaction => transaction.Ok)) InternalCheck.Run(transaction, findings);
        var lists = ListHistory.ByKey(transactions);
        foreach (var list in lists) list.FindOrder(findings);
        foreach (var list in lists) ReadCheck.Run(list, findings);
        foreach (var list in lists) LossCheck.Run(list, options.RealTime, findings);
        PartialCheck.Run(transactions, lists, findings);
        CycleSearch.Run(DependencyGraph.Build(transactions, lists, options.RealTime), findings);

        var doubts = lists.Where(list => !list.IsReadAfterLastAck).Select(list => $"No read of list {list.Key} began after its last acknowledged append; read it at the end.").ToList();
        return CheckResult.Of([.. findings.GroupBy(finding => finding.Kind).SelectMany(kind => kind.Take(MaxReportsOfAKind))], doubts);
    }
}
