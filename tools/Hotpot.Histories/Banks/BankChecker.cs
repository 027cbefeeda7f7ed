using Hotpot.Histories.Checking;

namespace Hotpot.Histories.Banks;

// Transfers move money between accounts, so every atomic read of all accounts shows the same total. The total does not
// see a transfer that was acknowledged and lost as a whole, so the balances are held to bounds as well: an account holds
// its initial balance, all that was acknowledged before the read began, and any part of what was open then.

/// <summary>The bank's accounts and what each held at the start.</summary>
public sealed record BankOptions(IReadOnlyDictionary<string, long> InitialBalances);

/// <summary>Decides whether a bank's money is all there.</summary>
public static class BankChecker
{
    /// <summary>Checks all transfers and reads of the history.</summary>
    /// <exception cref="HistoryException">A read is not one of all accounts, or a transfer is with an account that does not exist.</exception>
    public static CheckResult Check(History history, BankOptions options)
    {
        var total = options.InitialBalances.Values.Sum();
        var anomalies = new List<Anomaly>();
        var transfers = new List<Operation>();
        var reads = new List<Operation>();
        foreach (var operation in history.Of(Workload.Bank).Where(operation => operation.Outcome != Outcome.Fail))
        {
            if (operation.Accesses.FirstOrDefault(access => !options.InitialBalances.ContainsKey(access.Key)) is { } strange)
                throw new HistoryException($"The operation {operation} names the account {strange.Key}, which the bank does not have; pass all accounts.");
            if (operation.Accesses[0].Kind == AccessKind.Add) transfers.Add(operation);
            else if (operation.Outcome == Outcome.Ok) reads.Add(operation);
        }
        foreach (var read in reads)
        {
            if (read.Accesses.Count != options.InitialBalances.Count)
                throw new HistoryException($"The operation {read} reads {read.Accesses.Count} of {options.InitialBalances.Count} accounts; only a read of all shows the total.");
            var sum = read.Accesses.Sum(access => access.Values![0]);
            if (sum != total) anomalies.Add(new Anomaly(AnomalyKind.WrongTotal, $"the accounts hold {sum} where {total} belong", [read]));
        }
        CheckBalances(options, transfers, reads, anomalies);

        var doubts = new List<string>();
        var lastAck = transfers.Where(transfer => transfer.Outcome == Outcome.Ok).Select(transfer => transfer.CompleteUs!.Value).DefaultIfEmpty(long.MinValue).Max();
        if (transfers.Count > 0 && (reads.Count == 0 || reads.Max(read => read.InvokeUs) <= lastAck))
            doubts.Add("No read of the bank began after its last acknowledged transfer; read it at the end.");
        return CheckResult.Of(anomalies, doubts);
    }

    private static void CheckBalances(BankOptions options, List<Operation> transfers, List<Operation> reads, List<Anomaly> anomalies)
    {
        var settled = new Dictionary<string, long>(options.InitialBalances);
        var byCompletion = transfers.OrderBy(End).ToList();
        var byInvocation = transfers; // The history's order.
        var open = new List<Operation>();
        var (ended, begun) = (0, 0);
        foreach (var read in reads)
        {
            // Reads come in the order of invocation, so what was settled before one stays settled for the next.
            for (; ended < byCompletion.Count && End(byCompletion[ended]) < read.InvokeUs; ++ended)
            {
                foreach (var access in byCompletion[ended].Accesses) settled[access.Key] += access.Values![0];
            }
            for (; begun < byInvocation.Count && byInvocation[begun].InvokeUs <= read.CompleteUs; ++begun) open.Add(byInvocation[begun]);
            open.RemoveAll(transfer => End(transfer) < read.InvokeUs);
            foreach (var access in read.Accesses)
            {
                // `begun` may have run ahead of a read that ends earlier than one before it.
                var changes = open.Where(transfer => transfer.InvokeUs <= read.CompleteUs).SelectMany(transfer => transfer.Accesses).Where(change => change.Key == access.Key).Select(change => change.Values![0]).ToList();
                var least = settled[access.Key] + changes.Where(change => change < 0).Sum();
                var most = settled[access.Key] + changes.Where(change => change > 0).Sum();
                if (access.Values![0] < least || access.Values[0] > most)
                    anomalies.Add(new Anomaly(AnomalyKind.LostWrite, $"account {access.Key} holds {access.Values[0]}, and what was acknowledged leaves between {least} and {most}", [read]));
            }
        }
    }

    private static long End(Operation transfer) => transfer.Outcome == Outcome.Ok ? transfer.CompleteUs!.Value : long.MaxValue;
}
