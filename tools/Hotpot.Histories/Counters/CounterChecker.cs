using Hotpot.Histories.Checking;

namespace Hotpot.Histories.Counters;

// A counter only grows. So whatever a read shows lies between two sums that the history knows: at least all adds that
// were acknowledged before the read began, and at most all that had begun when it ended, those of unknown outcome
// included. The last read is no special case: it begins when all adds have ended. A client never sees less than it
// saw before.

/// <summary>Decides whether counters lost or invented something.</summary>
public static class CounterChecker
{
    /// <summary>Checks all counters of the history; they begin at zero.</summary>
    public static CheckResult Check(History history)
    {
        var anomalies = new List<Anomaly>();
        var doubts = new List<string>();
        var accesses = history.Of(Workload.Counter).Where(operation => operation.Outcome != Outcome.Fail)
            .SelectMany(operation => operation.Accesses.Select(access => (Operation: operation, Access: access)));
        foreach (var counter in accesses.GroupBy(pair => pair.Access.Key))
        {
            var adds = counter.Where(pair => pair.Access.Kind == AccessKind.Add).ToList();
            var reads = counter.Where(pair => pair.Access.Kind == AccessKind.Read && pair.Operation.Outcome == Outcome.Ok).ToList();
            CheckBounds(counter.Key, adds, reads, anomalies);
            CheckGrowth(counter.Key, reads, anomalies);
            var lastAck = adds.Where(pair => pair.Operation.Outcome == Outcome.Ok).Select(pair => pair.Operation.CompleteUs!.Value).DefaultIfEmpty(long.MinValue).Max();
            if (reads.Count == 0 || reads.Max(pair => pair.Operation.InvokeUs) <= lastAck)
                doubts.Add($"No read of counter {counter.Key} began after its last acknowledged add; read it at the end.");
        }
        return CheckResult.Of(anomalies, doubts);
    }

    private static void CheckBounds(string key, List<(Operation Operation, Access Access)> adds, List<(Operation Operation, Access Access)> reads, List<Anomaly> anomalies)
    {
        var acked = new RunningSum(adds.Where(add => add.Operation.Outcome == Outcome.Ok).Select(add => (add.Operation.CompleteUs!.Value, add.Access.Values![0])));
        var begun = new RunningSum(adds.Select(add => (add.Operation.InvokeUs, add.Access.Values![0])));
        foreach (var (operation, access) in reads)
        {
            var value = access.Values![0];
            // Ties count as overlapping.
            var least = acked.Until(operation.InvokeUs - 1);
            var most = begun.Until(operation.CompleteUs!.Value);
            if (value < least) anomalies.Add(new Anomaly(AnomalyKind.LostWrite, $"counter {key} shows {value} when adds of {least} were acknowledged", [operation]));
            if (value > most) anomalies.Add(new Anomaly(AnomalyKind.TooMuch, $"counter {key} shows {value} when adds of no more than {most} had begun", [operation]));
        }
    }

    private static void CheckGrowth(string key, List<(Operation Operation, Access Access)> reads, List<Anomaly> anomalies)
    {
        foreach (var reader in reads.GroupBy(pair => pair.Operation.Client))
        {
            foreach (var (earlier, later) in reader.Zip(reader.Skip(1)))
            {
                if (later.Access.Values![0] < earlier.Access.Values![0])
                    anomalies.Add(new Anomaly(AnomalyKind.Decreasing, $"counter {key} went from {earlier.Access.Values[0]} down to {later.Access.Values[0]} for {reader.Key}", [earlier.Operation, later.Operation]));
            }
        }
    }

    private sealed class RunningSum
    {
        private readonly long[] _times;
        private readonly long[] _sums;

        public RunningSum(IEnumerable<(long TimeUs, long Value)> changes)
        {
            var ordered = changes.OrderBy(change => change.TimeUs).ToList();
            _times = [.. ordered.Select(change => change.TimeUs)];
            _sums = new long[ordered.Count];
            var sum = 0L;
            for (var i = 0; i < ordered.Count; ++i) _sums[i] = sum += ordered[i].Value;
        }

        /// <summary>The sum of all changes at or before the time.</summary>
        public long Until(long timeUs)
        {
            var low = 0;
            var high = _times.Length;
            while (low < high)
            {
                var middle = (low + high) / 2;
                if (_times[middle] <= timeUs) low = middle + 1; else high = middle;
            }
            return low == 0 ? 0 : _sums[low - 1];
        }
    }
}
