using Hotpot.Histories.Checking;

namespace Hotpot.Tests.Histories;

/// <summary>The positive controls: each detector finds what it is there for.</summary>
public class KnownBadTests
{
    public static TheoryData<AnomalyKind, string> Cases
    {
        get
        {
            var cases = new TheoryData<AnomalyKind, string>();
            foreach (var (kind, name, _) in KnownBadHistories.All) cases.Add(kind, name);
            return cases;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void A_known_bad_history_is_found_with_its_witnesses(AnomalyKind kind, string name)
    {
        var result = KnownBadHistories.All.Single(known => known.Kind == kind && known.Name == name).Check();
        Assert.Equal(Verdict.Fail, result.Verdict);
        Assert.Contains(kind, result.Anomalies.Select(anomaly => anomaly.Kind));
        Assert.All(result.Anomalies, anomaly => Assert.NotEmpty(anomaly.Witnesses));
    }

    [Fact]
    public void Every_kind_of_anomaly_has_a_known_bad_history() =>
        Assert.Equal(Enum.GetValues<AnomalyKind>(), KnownBadHistories.All.Select(known => known.Kind).Distinct().Order());
}
