using Hotpot.Chaos.Faults;
using Hotpot.Chaos.Node;
using Hotpot.Chaos.Verdicts;
using Hotpot.Chaos.Workload;
using Hotpot.Histories;

namespace Hotpot.Tests.Chaos;

/// <summary>What a run must notice, and what it must not hold against a node.</summary>
public sealed class HistoryVerdictTests
{
    private readonly List<Recorded> _recorded = [];

    public HistoryVerdictTests() => Audit(1, Balances());

    [Fact]
    public void AGoodHistoryPasses()
    {
        Append(10, element: 1, seen: []);
        Load(30, node: "1", null, 1);
        Read(100, 1);
        AssertPasses();
    }

    [Fact]
    public void AnAcknowledgedAppendThatIsGoneIsLost()
    {
        Append(10, element: 1, seen: []);
        Append(30, element: 2, seen: [1]);
        Read(100, 1);
        Assert.NotEmpty(Findings().Lost);
    }

    [Fact]
    public void AListThatNobodyReadInTheEndHasNotPassed()
    {
        Append(10, element: 1, seen: []);
        Assert.NotEmpty(Findings().Others);
    }

    [Fact]
    public void ALoadMustShowWhatWasAcknowledged()
    {
        Append(10, element: 1, seen: []);
        Load(30, node: "1", null);
        Read(100, 1);
        Assert.Contains(Findings().Others, finding => finding.Contains("loads", StringComparison.Ordinal));
    }

    /// <summary>While a commit is being applied one node shows it before another, which only plain loads can see.</summary>
    [Fact]
    public void LoadsMayDisagreeWhileACommitIsUnderWay()
    {
        Add("c1", "0", Workload.List, 10, 50, Outcome.Ok, Evidence.Commit, null, Access.Read("l0"), Access.Append("l0", 1));
        Load(20, node: "1", null, 1);
        Load(30, node: "2", null);
        Read(100, 1);
        AssertPasses();
    }

    [Theory]
    [InlineData(25L, true)]
    [InlineData(36L, false)]
    public void ADeadNodesLoadsAreDisregardedFromItsStopOn(long stoppedUs, bool disregarded)
    {
        Append(10, element: 1, seen: []);
        Load(30, node: "1", stoppedUs);
        Read(100, 1);
        Assert.Equal(disregarded, Findings().Others.Count == 0);
    }

    [Fact]
    public void ADeadNodesCommitsAreHeldAgainstIt()
    {
        Append(10, element: 1, seen: [], stoppedUs: 5);
        Read(100);
        Assert.NotEmpty(Findings().Lost);
    }

    [Fact]
    public void MoneyFromNowhereIsNoticed()
    {
        var balances = Balances();
        balances[3]++;
        Audit(50, balances);
        Assert.NotEmpty(Findings().Others);
    }

    private void AssertPasses()
    {
        Assert.Empty(Findings().Lost);
        Assert.Empty(Findings().Others);
    }

    private (IReadOnlyList<string> Lost, IReadOnlyList<string> Others) Findings()
    {
        var verdict = HistoryVerdict.Of(_recorded);
        return (verdict.Lost, verdict.Others);
    }

    private static long[] Balances() => [.. Enumerable.Repeat(Layout.InitialBalance, Layout.Accounts)];

    private void Audit(long atUs, long[] balances) => Add(
        "auditor", "0", Workload.Bank, atUs, atUs + 1, Outcome.Ok, Evidence.Commit, null,
        [.. balances.Select((balance, account) => Access.Read(BankClient.KeyOf(account), balance))]);

    private void Append(long atUs, long element, long[] seen, long? stoppedUs = null) => Add(
        "writer", "0", Workload.List, atUs, atUs + 10, Outcome.Ok, Evidence.Commit, stoppedUs, Access.Read("l0", seen), Access.Append("l0", element));

    private void Load(long atUs, string node, long? stoppedUs, params long[] elements) => Add(
        $"loader{node}", node, Workload.List, atUs, atUs + 5, Outcome.Ok, Evidence.Load, stoppedUs, Access.Read("l0", elements));

    private void Read(long atUs, params long[] elements) => Add(
        "reader", "0", Workload.List, atUs, atUs + 5, Outcome.Ok, Evidence.Commit, null, Access.Read("l0", elements));

    private void Add(
        string client, string node, Workload kind, long invokeUs, long completeUs, Outcome outcome, Evidence evidence, long? stoppedUs, params Access[] accesses)
    {
        // The process plays no part in the verdict; only when its life became doubtful does.
        var life = new NodeLife(null!) { SuspectFromUs = stoppedUs };
        _recorded.Add(new Recorded(new Operation(client, node, _recorded.Count, kind, accesses, invokeUs, completeUs, outcome), evidence, life));
    }
}
