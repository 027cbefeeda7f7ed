using Hotpot.Histories;
using Hotpot.Histories.Checking;
using Hotpot.Histories.Lists;
using static Hotpot.Histories.Access;

namespace Hotpot.Tests.Histories;

public class ListCheckerTests
{
    private const int Seeds = 20;

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Histories_of_a_correct_store_pass(int seed)
    {
        var history = SimulatedStore.Run(seed, Workload.List, clients: 10, operationsEach: 300);
        Assert.Contains(history.Operations, operation => operation.Outcome == Outcome.Unknown);
        foreach (var realTime in new[] { true, false })
        {
            var result = ListChecker.Check(history, new ListOptions(realTime));
            Assert.True(result.Verdict == Verdict.Pass, result.ToString());
        }
    }

    [Fact]
    public void An_unknown_transaction_may_have_happened_as_a_whole_or_not_at_all()
    {
        var whole = HistoryBuilder.Lists.Unknown(0, Append("x", 1), Append("y", 2)).Ok(10, 20, Read("x"), Read("y")).Ok(30, 40, Read("x", 1), Read("y", 2));
        var never = HistoryBuilder.Lists.Unknown(0, Append("x", 1), Append("y", 2)).Ok(10, 20, Read("x"), Read("y"));
        Assert.Equal(Verdict.Pass, ListChecker.Check(whole.Build()).Verdict);
        Assert.Equal(Verdict.Pass, ListChecker.Check(never.Build()).Verdict);
    }

    [Fact]
    public void What_is_wrong_in_real_time_only_passes_without_real_time()
    {
        var builder = HistoryBuilder.Lists.Ok(0, 10, Append("x", 1)).Ok(20, 30, Read("x")).Ok(40, 50, Read("x", 1));
        Assert.Equal(Verdict.Fail, ListChecker.Check(builder.Build()).Verdict);
        Assert.Equal(Verdict.Pass, ListChecker.Check(builder.Build(), new ListOptions(RealTime: false)).Verdict);
    }

    [Fact]
    public void A_cycle_is_reported_with_its_edges()
    {
        var result = KnownBadHistories.All.Single(known => known.Name == "write skew").Check();
        var anomaly = Assert.Single(result.Anomalies);
        Assert.Equal("a cycle of 2 transactions: T1 -rw y-> T2 -rw x-> T1", anomaly.Message.Replace("rw x-> T2 -rw y", "rw y-> T2 -rw x"));
        Assert.Equal(2, anomaly.Witnesses.Count);
    }

    [Fact]
    public void Without_a_last_read_the_checker_is_inconclusive()
    {
        var result = ListChecker.Check(HistoryBuilder.Lists.Ok(0, 10, Read("x")).Ok(20, 30, Append("x", 1)).Build());
        Assert.Equal(Verdict.Inconclusive, result.Verdict);
    }

    [Fact]
    public void An_element_appended_twice_is_no_history() =>
        Assert.Throws<HistoryException>(() => ListChecker.Check(HistoryBuilder.Lists.Ok(0, 10, Append("x", 1)).Ok(20, 30, Append("x", 1)).Build()));

    [Fact]
    public void A_forgotten_acknowledged_append_is_found() => ForEachSeed(operations =>
    {
        if (Mutations.ForgetAppend(operations, Outcome.Ok) is not { } mutated) return null;
        Assert.Contains(ListChecker.Check(mutated.History).Anomalies, anomaly => anomaly.Kind == AnomalyKind.LostWrite && anomaly.Message.Contains($"list {mutated.Key} lost {mutated.Value},", StringComparison.Ordinal));
        return ListChecker.Check(mutated.History);
    }, AnomalyKind.PartialTransaction);

    [Fact]
    public void A_split_unknown_transaction_is_found() => ForEachSeed(
        operations => Mutations.ForgetAppend(operations, Outcome.Unknown) is { } mutated ? ListChecker.Check(mutated.History) : null,
        AnomalyKind.PartialTransaction);

    [Fact]
    public void A_read_in_another_order_is_found() => ForEachSeed(
        operations => Mutations.Reorder(operations) is { } mutated ? ListChecker.Check(mutated) : null,
        AnomalyKind.IncompatibleOrder);

    [Fact]
    public void A_read_of_what_failed_is_found() => ForEachSeed(
        operations => Mutations.FailWhatIsSeen(operations) is { } mutated ? ListChecker.Check(mutated) : null,
        AnomalyKind.G1a);

    [Fact]
    public void A_read_of_the_past_is_found() => ForEachSeed(
        operations => Mutations.ReadThePast(operations) is { } mutated ? ListChecker.Check(mutated) : null,
        AnomalyKind.StaleRead);

    [Fact]
    public void The_verdict_is_that_of_trying_every_order()
    {
        var verdicts = new Dictionary<Verdict, int>();
        for (var seed = 0; seed < 4000; ++seed)
        {
            var operations = RandomTransactions(new Random(seed));
            var serialisable = EveryOrder.Explains(operations, EveryOrder.ListModel);
            var result = ListChecker.Check(new History(operations));
            verdicts[result.Verdict] = verdicts.GetValueOrDefault(result.Verdict) + 1;
            // Whatever is found is there. And what is there is found, or the checker says that it cannot tell.
            var right = serialisable ? result.Verdict != Verdict.Fail : result.Verdict != Verdict.Pass;
            Assert.True(right, $"seed {seed}, serialisable: {serialisable}, {result}\n{string.Join('\n', operations)}");
        }
        Assert.All([Verdict.Pass, Verdict.Fail], verdict => Assert.InRange(verdicts[verdict], 500, 4000));
    }

    private static void ForEachSeed(Func<IReadOnlyList<Operation>, CheckResult?> check, AnomalyKind expected)
    {
        var checkedSeeds = 0;
        for (var seed = 1; seed <= Seeds; ++seed)
        {
            if (check(SimulatedStore.Run(seed, Workload.List, clients: 6, operationsEach: 50).Operations) is not { } result) continue;
            ++checkedSeeds;
            Assert.True(result.Anomalies.Any(anomaly => anomaly.Kind == expected), $"seed {seed}: {result}");
        }
        Assert.InRange(checkedSeeds, Seeds / 2, Seeds);
    }

    // Runs transactions one after the other in an order of its own, often against real time, and damages a read now and
    // then, so that good and bad histories come out.
    private static List<Operation> RandomTransactions(Random random)
    {
        var lists = new Dictionary<string, List<long>> { ["x"] = [], ["y"] = [] };
        var operations = new List<Operation>();
        var value = 0L;
        for (var i = 0; i < 5; ++i)
        {
            var invokeUs = i * 8 + random.Next(30);
            var outcome = random.Next(8) switch { 0 => Outcome.Unknown, _ => Outcome.Ok };
            var happens = outcome == Outcome.Ok || random.Next(2) == 0;
            var accesses = new List<Access>();
            for (var step = random.Next(1, 4); step > 0; --step)
            {
                var key = random.Next(2) == 0 ? "x" : "y";
                if (random.Next(2) == 0)
                {
                    accesses.Add(Append(key, ++value));
                    if (happens && random.Next(12) > 0) lists[key].Add(value);
                }
                else
                {
                    accesses.Add(Read(key, [.. lists[key].Take(lists[key].Count - (random.Next(12) == 0 ? 1 : 0))]));
                }
            }
            operations.Add(new Operation($"c{i}", "1", i, Workload.List, accesses, invokeUs, invokeUs + random.Next(1, 30), outcome));
        }
        if (random.Next(8) > 0) operations.Add(new Operation("end", "1", 9, Workload.List, [Read("x", [.. lists["x"]]), Read("y", [.. lists["y"]])], 200, 210, Outcome.Ok));
        return operations;
    }
}
