using Hotpot.Chaos.Node;
using Hotpot.Chaos.Workload;
using Hotpot.Histories;
using Hotpot.Histories.Banks;
using Hotpot.Histories.Checking;
using Hotpot.Histories.Counters;
using Hotpot.Histories.Lists;
using Hotpot.Histories.Registers;

namespace Hotpot.Chaos.Verdicts;

/// <summary>What the histories of a run say.</summary>
/// <param name="Lost">Acknowledged commits that are not there.</param>
/// <param name="Others">Every other broken promise, and every doubt: a history that cannot be judged has not passed.</param>
internal sealed record HistoryVerdict(IReadOnlyList<string> Lost, IReadOnlyList<string> Others, int Disregarded)
{
    /// <remarks>
    /// What a node showed by itself after it had been declared dead is disregarded: a process that was cut off may show old values until it notices. What it
    /// says of a commit counts, because such a process cannot commit.
    /// </remarks>
    public static HistoryVerdict Of(IReadOnlyList<Recorded> recorded)
    {
        var lost = new List<string>();
        var others = new List<string>();
        var believed = recorded.Where(IsBelieved).ToList();

        var all = new History(believed.Select(one => one.Operation));
        var strict = new History(believed.Where(one => one.Evidence != Evidence.Load || one.Operation.Kind != Histories.Workload.List).Select(one => one.Operation));
        var loads = believed.Where(one => one.Evidence == Evidence.Load).Select(one => one.Operation).ToHashSet(ReferenceEqualityComparer.Instance);
        Sort(ListChecker.Check(strict), "lists");
        Sort(ListChecker.Check(all, new ListOptions(RealTime: false)), "lists with loads");
        Sort(CheckResult.Of([.. LoadCheck.Run(all, loads.Contains)], []), "loads");
        Sort(BankChecker.Check(all, new BankOptions(Enumerable.Range(0, Layout.Accounts).ToDictionary(BankClient.KeyOf, _ => Layout.InitialBalance))), "bank");
        Sort(CounterChecker.Check(all), "counters");
        Sort(RegisterChecker.Check(all), "registers");
        return new HistoryVerdict([.. lost], [.. others], recorded.Count - believed.Count);

        void Sort(CheckResult result, string part)
        {
            foreach (var anomaly in result.Anomalies)
                (anomaly.Kind == AnomalyKind.LostWrite ? lost : others).Add($"{part}: {anomaly}");
            others.AddRange(result.Doubts.Select(doubt => $"{part}: {doubt}"));
        }
    }

    private static bool IsBelieved(Recorded one) =>
        one.Evidence == Evidence.Commit || one.Life?.SuspectFromUs is not { } suspect || one.Operation.CompleteUs < suspect || one.Operation.Outcome != Outcome.Ok;
}
