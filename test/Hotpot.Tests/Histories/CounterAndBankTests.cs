using Hotpot.Histories;
using Hotpot.Histories.Banks;
using Hotpot.Histories.Checking;
using Hotpot.Histories.Counters;
using static Hotpot.Histories.Access;

namespace Hotpot.Tests.Histories;

public class CounterAndBankTests
{
    private static readonly BankOptions Bank = new(SimulatedStore.Accounts);

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void Histories_of_a_correct_store_pass(int seed)
    {
        var counters = CounterChecker.Check(SimulatedStore.Run(seed, Workload.Counter, clients: 10, operationsEach: 300));
        Assert.True(counters.Verdict == Verdict.Pass, counters.ToString());
        var bank = BankChecker.Check(SimulatedStore.Run(seed, Workload.Bank, clients: 10, operationsEach: 300), Bank);
        Assert.True(bank.Verdict == Verdict.Pass, bank.ToString());
    }

    [Fact]
    public void An_unknown_add_may_count_or_not()
    {
        foreach (var shown in new[] { 2, 5 })
            Assert.Equal(Verdict.Pass, CounterChecker.Check(HistoryBuilder.Counters.Ok(0, 10, Add("n", 2)).Unknown(0, Add("n", 3)).Ok(20, 30, Read("n", shown)).Build()).Verdict);
        Assert.Equal(Verdict.Fail, CounterChecker.Check(HistoryBuilder.Counters.Ok(0, 10, Add("n", 2)).Unknown(0, Add("n", 3)).Ok(20, 30, Read("n", 6)).Build()).Verdict);
    }

    [Fact]
    public void An_acknowledged_transfer_must_stay_and_an_unknown_one_may()
    {
        var builder = HistoryBuilder.Bank.Ok(0, 10, Add("a0", -1), Add("a1", 1)).Unknown(0, Add("a0", -5), Add("a2", 5));
        Assert.Equal(Verdict.Pass, BankChecker.Check(builder.Ok(20, 30, Read("a0", 99), Read("a1", 101), Read("a2", 100)).Build(), Bank).Verdict);
        Assert.Equal(Verdict.Pass, BankChecker.Check(builder.Ok(40, 50, Read("a0", 94), Read("a1", 101), Read("a2", 105)).Build(), Bank).Verdict);
        Assert.Equal(AnomalyKind.LostWrite, BankChecker.Check(builder.Ok(60, 70, Read("a0", 100), Read("a1", 100), Read("a2", 100)).Build(), Bank).Anomalies[0].Kind);
    }

    [Fact]
    public void Without_a_last_read_the_checkers_are_inconclusive()
    {
        Assert.Equal(Verdict.Inconclusive, CounterChecker.Check(HistoryBuilder.Counters.Ok(0, 10, Read("n", 0)).Ok(20, 30, Add("n", 1)).Build()).Verdict);
        Assert.Equal(Verdict.Inconclusive, BankChecker.Check(HistoryBuilder.Bank.Ok(0, 10, Add("a0", -1), Add("a1", 1)).Build(), Bank).Verdict);
    }

    [Fact]
    public void A_read_of_some_accounts_shows_no_total() =>
        Assert.Throws<HistoryException>(() => BankChecker.Check(HistoryBuilder.Bank.Ok(0, 10, Read("a0", 100)).Build(), Bank));
}
