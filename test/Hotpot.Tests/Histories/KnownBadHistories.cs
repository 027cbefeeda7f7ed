using Hotpot.Histories;
using Hotpot.Histories.Banks;
using Hotpot.Histories.Checking;
using Hotpot.Histories.Counters;
using Hotpot.Histories.Lists;
using Hotpot.Histories.Registers;
using static Hotpot.Histories.Access;

namespace Hotpot.Tests.Histories;

/// <summary>For every kind of anomaly at least one history that has it, written by hand.</summary>
internal static class KnownBadHistories
{
    private static readonly BankOptions Bank = new(new Dictionary<string, long> { ["a"] = 10, ["b"] = 10 });

    public static IEnumerable<(AnomalyKind Kind, string Name, Func<CheckResult> Check)> All =>
    [
        (AnomalyKind.NonLinearizable, "stale read", () => Registers(HistoryBuilder.Registers.Ok(0, 10, Write("x", 1)).Ok(20, 30, Write("x", 2)).Ok(40, 50, Read("x", 1)))),
        (AnomalyKind.NonLinearizable, "read of what nobody wrote", () => Registers(HistoryBuilder.Registers.Ok(0, 10, Write("x", 1)).Ok(20, 30, Read("x", 7)))),
        (AnomalyKind.NonLinearizable, "read of what failed", () => Registers(HistoryBuilder.Registers.Failed(0, 10, Write("x", 1)).Ok(20, 30, Read("x", 1)))),
        (AnomalyKind.NonLinearizable, "value seen, then gone", () => Registers(HistoryBuilder.Registers.Unknown(0, Write("x", 1)).Ok(20, 30, Read("x", 1)).Ok(40, 50, Read("x", 0)))),
        (AnomalyKind.NonLinearizable, "read before the write began", () => Registers(HistoryBuilder.Registers.Ok(0, 10, Read("x", 1)).Ok(20, 30, Write("x", 1)))),
        (AnomalyKind.NonLinearizable, "two readers see two orders", () => Registers(HistoryBuilder.Registers
            .Ok(0, 100, Write("x", 1)).Ok(0, 100, Write("x", 2)).Ok(10, 20, Read("x", 1)).Ok(30, 40, Read("x", 2)).Ok(50, 60, Read("x", 1)))),
        (AnomalyKind.NonLinearizable, "two compare-and-sets of one value", () => Registers(HistoryBuilder.Registers.Ok(0, 100, Cas("x", 0, 1)).Ok(0, 100, Cas("x", 0, 2)))),
        (AnomalyKind.GarbageRead, "nobody's element", () => Lists(HistoryBuilder.Lists.Ok(0, 10, Append("x", 1)).Ok(20, 30, Read("x", 1, 9)))),
        (AnomalyKind.DuplicateElement, "an append applied twice", () => Lists(HistoryBuilder.Lists.Ok(0, 10, Append("x", 1)).Ok(20, 30, Read("x", 1, 1)))),
        (AnomalyKind.IncompatibleOrder, "two nodes, two orders", () => Lists(HistoryBuilder.Lists.Ok(0, 10, Append("x", 1)).Ok(0, 10, Append("x", 2)).Ok(20, 30, Read("x", 1, 2)).Ok(20, 30, Read("x", 2, 1)))),
        (AnomalyKind.IncompatibleOrder, "a transaction's elements turned round", () => Lists(HistoryBuilder.Lists.Ok(0, 10, Append("x", 1), Append("x", 2)).Ok(20, 30, Read("x", 2, 1)))),
        (AnomalyKind.Internal, "own append not seen", () => Lists(HistoryBuilder.Lists.Ok(0, 10, Append("x", 1), Read("x")).Ok(20, 30, Read("x", 1)))),
        (AnomalyKind.Internal, "two reads in one transaction differ", () => Lists(HistoryBuilder.Lists.Ok(0, 10, Append("x", 1)).Ok(0, 30, Read("x"), Read("x", 1)))),
        (AnomalyKind.LostWrite, "an acknowledged append is gone", () => Lists(HistoryBuilder.Lists.Ok(0, 10, Append("x", 1)).Ok(0, 10, Append("x", 2)).Ok(20, 30, Read("x", 2)))),
        (AnomalyKind.LostWrite, "a counter lost an add", () => CounterChecker.Check(HistoryBuilder.Counters.Ok(0, 10, Add("n", 2)).Ok(0, 10, Add("n", 3)).Ok(20, 30, Read("n", 3)).Build())),
        (AnomalyKind.LostWrite, "a transfer lost as a whole", () => BankChecker.Check(HistoryBuilder.Bank.Ok(0, 10, Add("a", -4), Add("b", 4)).Ok(20, 30, Read("a", 10), Read("b", 10)).Build(), Bank)),
        (AnomalyKind.StaleRead, "an append shows too late", () => Lists(HistoryBuilder.Lists.Ok(0, 10, Append("x", 1)).Ok(20, 30, Read("x")).Ok(40, 50, Read("x", 1)))),
        (AnomalyKind.StaleRead, "an unknown append seen, then not, then again", () => Lists(HistoryBuilder.Lists.Unknown(0, Append("x", 1)).Ok(20, 30, Read("x", 1)).Ok(40, 50, Read("x")).Ok(60, 70, Read("x", 1)))),
        (AnomalyKind.PartialTransaction, "half of an unknown transaction", () => Lists(HistoryBuilder.Lists.Unknown(0, Append("x", 1), Append("y", 2)).Ok(20, 30, Read("x", 1)).Ok(40, 50, Read("y")))),
        (AnomalyKind.PartialTransaction, "half of an acknowledged transaction", () => Lists(HistoryBuilder.Lists.Ok(0, 10, Append("x", 1), Append("y", 2)).Ok(20, 30, Read("x", 1)).Ok(40, 50, Read("y")))),
        (AnomalyKind.G1a, "a failed append is there", () => Lists(HistoryBuilder.Lists.Failed(0, 10, Append("x", 1)).Ok(20, 30, Read("x", 1)))),
        (AnomalyKind.G1b, "the first of two appends alone", () => Lists(HistoryBuilder.Lists.Ok(0, 100, Append("x", 1), Append("x", 2)).Ok(20, 30, Read("x", 1)).Ok(110, 120, Read("x", 1, 2)))),
        (AnomalyKind.G0, "two transactions write two lists in two orders", () => Lists(HistoryBuilder.Lists
            .Ok(0, 10, Append("x", 1), Append("y", 2)).Ok(0, 10, Append("x", 3), Append("y", 4)).Ok(20, 30, Read("x", 1, 3)).Ok(20, 30, Read("y", 4, 2)))),
        (AnomalyKind.G0, "one transaction amid another", () => Lists(HistoryBuilder.Lists
            .Ok(0, 10, Append("x", 1), Append("x", 2)).Ok(0, 10, Append("x", 3)).Ok(20, 30, Read("x", 1, 3, 2)))),
        (AnomalyKind.G1c, "two transactions see each other", () => Lists(HistoryBuilder.Lists
            .Ok(0, 10, Append("x", 1), Read("y", 2)).Ok(0, 10, Append("y", 2), Read("x", 1)).Ok(20, 30, Read("x", 1)).Ok(20, 30, Read("y", 2)))),
        (AnomalyKind.GSingle, "a read sees half of a transaction", () => Lists(HistoryBuilder.Lists
            .Ok(0, 10, Append("x", 1), Append("y", 2)).Ok(0, 10, Read("x", 1), Read("y")).Ok(20, 30, Read("x", 1)).Ok(20, 30, Read("y", 2)))),
        (AnomalyKind.GSingle, "lost update", () => Lists(HistoryBuilder.Lists
            .Ok(0, 10, Read("x"), Append("x", 1)).Ok(0, 10, Read("x"), Append("x", 2)).Ok(20, 30, Read("x", 1, 2)))),
        (AnomalyKind.GSingle, "half of an unknown transaction in one read, the other half never seen", () => Lists(HistoryBuilder.Lists
            .Unknown(0, Append("x", 1), Append("y", 2)).Ok(10, 20, Read("x", 1), Read("y")))),
        (AnomalyKind.G2, "write skew", () => Lists(HistoryBuilder.Lists
            .Ok(0, 10, Read("x"), Append("y", 1)).Ok(0, 10, Read("y"), Append("x", 2)).Ok(20, 30, Read("x", 2)).Ok(20, 30, Read("y", 1)))),
        (AnomalyKind.G0RealTime, "the later append comes first", () => Lists(HistoryBuilder.Lists
            .Ok(0, 10, Append("x", 1)).Ok(20, 30, Append("x", 2)).Ok(40, 50, Read("x", 2, 1)))),
        (AnomalyKind.G1cRealTime, "a read before the append began", () => Lists(HistoryBuilder.Lists
            .Ok(0, 10, Read("x", 1)).Ok(20, 30, Append("x", 1)).Ok(40, 50, Read("x", 1)))),
        (AnomalyKind.GSingleRealTime, "a read from the past", () => Lists(HistoryBuilder.Lists
            .Ok(0, 10, Append("x", 1)).Ok(20, 30, Read("x")).Ok(40, 50, Read("x", 1)))),
        (AnomalyKind.G2RealTime, "a long read that is neither before nor after a short one", () => Lists(HistoryBuilder.Lists
            .Ok(0, 100, Append("x", 1)).Ok(0, 100, Read("x", 1), Read("y")).Ok(5, 10, Append("y", 2)).Ok(20, 30, Read("x"))
            .Ok(110, 120, Read("x", 1)).Ok(110, 120, Read("y", 2)))),
        (AnomalyKind.WrongTotal, "half of a transfer", () => BankChecker.Check(HistoryBuilder.Bank.Ok(0, 30, Add("a", -4), Add("b", 4)).Ok(10, 20, Read("a", 6), Read("b", 10)).Ok(40, 50, Read("a", 6), Read("b", 14)).Build(), Bank)),
        (AnomalyKind.TooMuch, "an add applied twice", () => CounterChecker.Check(HistoryBuilder.Counters.Ok(0, 10, Add("n", 2)).Ok(20, 30, Read("n", 4)).Build())),
        (AnomalyKind.Decreasing, "a counter goes down", () => CounterChecker.Check(HistoryBuilder.Counters.Unknown(0, Add("n", 2)).OkBy("r", 20, 30, Read("n", 2)).OkBy("r", 40, 50, Read("n", 0)).Build())),
    ];

    private static CheckResult Lists(HistoryBuilder builder) => ListChecker.Check(builder.Build());

    private static CheckResult Registers(HistoryBuilder builder) => RegisterChecker.Check(builder.Build());
}
