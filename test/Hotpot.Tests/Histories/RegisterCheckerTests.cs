using Hotpot.Histories;
using Hotpot.Histories.Checking;
using Hotpot.Histories.Registers;
using static Hotpot.Histories.Access;

namespace Hotpot.Tests.Histories;

public class RegisterCheckerTests
{
    [Fact]
    public void An_unknown_write_may_show_late_or_never()
    {
        var builder = HistoryBuilder.Registers.Unknown(0, Write("x", 1)).Unknown(0, Write("x", 2)).Ok(10, 20, Read("x", 0)).Ok(30, 40, Read("x", 2)).Ok(50, 60, Write("x", 3)).Ok(70, 80, Read("x", 3));
        Assert.Equal(Verdict.Pass, RegisterChecker.Check(builder.Build()).Verdict);
    }

    [Fact]
    public void An_unknown_compare_and_set_may_explain_what_another_one_found()
    {
        var builder = HistoryBuilder.Registers.Unknown(0, Cas("x", 0, 1)).Unknown(0, Cas("x", 1, 2)).Ok(10, 20, Read("x", 2));
        Assert.Equal(Verdict.Pass, RegisterChecker.Check(builder.Build()).Verdict);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Histories_of_a_correct_store_pass(int seed)
    {
        var history = SimulatedStore.Run(seed, Workload.Register, clients: 10, operationsEach: 500);
        var result = RegisterChecker.Check(history);
        Assert.True(result.Verdict == Verdict.Pass, result.ToString());
    }

    [Fact]
    public void A_stale_read_in_a_long_history_is_found()
    {
        var found = 0;
        for (var seed = 1; seed <= 20; ++seed)
        {
            var operations = SimulatedStore.Run(seed, Workload.Register, clients: 5, operationsEach: 100).Operations.ToList();
            if (Mutations.MakeReadStale(operations) is not { } mutated) continue;
            ++found;
            Assert.Equal(Verdict.Fail, RegisterChecker.Check(mutated).Verdict);
        }
        Assert.InRange(found, 10, 20);
    }

    [Fact]
    public void The_verdict_is_that_of_trying_every_order()
    {
        var verdicts = new int[2];
        for (var seed = 0; seed < 4000; ++seed)
        {
            var operations = RandomOperations(new Random(seed));
            var linearizable = EveryOrder.Explains(operations, EveryOrder.RegisterModel);
            ++verdicts[linearizable ? 1 : 0];
            var result = RegisterChecker.Check(new History(operations));
            Assert.True(result.Verdict == (linearizable ? Verdict.Pass : Verdict.Fail), $"seed {seed}: {result}\n{string.Join('\n', operations)}");
        }
        Assert.All(verdicts, count => Assert.InRange(count, 500, 4000)); // Both verdicts were asked for.
    }

    [Fact]
    public void Beyond_its_budget_the_checker_is_inconclusive()
    {
        // Twenty writes that overlap, then reads that need all of them in an order that fails only at the end.
        var builder = HistoryBuilder.Registers;
        for (var i = 1; i <= 20; ++i) builder.Ok(0, 100, Write("x", i));
        builder.Ok(200, 210, Read("x", 99));
        var result = RegisterChecker.Check(builder.Build(), new RegisterOptions(MaxConfigurations: 10_000));
        Assert.Equal(Verdict.Inconclusive, result.Verdict);
        Assert.Contains("10000 configurations", Assert.Single(result.Doubts));
    }

    [Fact]
    public void With_too_many_open_operations_the_checker_is_inconclusive()
    {
        var builder = HistoryBuilder.Registers;
        for (var i = 0; i < 129; ++i) builder.Ok(0, 100, Read("x", 0));
        Assert.Equal(Verdict.Inconclusive, RegisterChecker.Check(builder.Build()).Verdict);
    }

    private static List<Operation> RandomOperations(Random random) =>
    [
        .. Enumerable.Range(0, 6).Select(i =>
        {
            var invokeUs = random.Next(40);
            var access = random.Next(4) switch
            {
                0 => Cas("x", random.Next(3), random.Next(3)),
                1 => Write("x", random.Next(3)),
                _ => Read("x", random.Next(3)),
            };
            var outcome = random.Next(10) switch { 0 => Outcome.Fail, 1 or 2 => Outcome.Unknown, _ => Outcome.Ok };
            return new Operation($"c{i}", "1", i, Workload.Register, [access], invokeUs, invokeUs + random.Next(1, 30), outcome);
        }),
    ];
}
