namespace Hotpot.Histories.Checking;

/// <summary>What a checker decided.</summary>
public enum Verdict
{
    /// <summary>The history is as promised.</summary>
    Pass,

    /// <summary>The history breaks the promise; there is at least one anomaly.</summary>
    Fail,

    /// <summary>The checker cannot tell, and says why. This is not a pass.</summary>
    Inconclusive,
}

/// <summary>One broken promise: what happened, and the operations that show it.</summary>
public sealed record Anomaly(AnomalyKind Kind, string Message, IReadOnlyList<Operation> Witnesses)
{
    /// <inheritdoc/>
    public override string ToString() => $"{Kind}: {Message}{string.Concat(Witnesses.Select(witness => $"\n    {witness}"))}";
}

/// <summary>A verdict with its reasons.</summary>
public sealed record CheckResult(Verdict Verdict, IReadOnlyList<Anomaly> Anomalies, IReadOnlyList<string> Doubts)
{
    /// <summary>Anomalies outweigh doubts, and doubts outweigh a pass.</summary>
    public static CheckResult Of(IReadOnlyList<Anomaly> anomalies, IReadOnlyList<string> doubts) =>
        new(anomalies.Count > 0 ? Verdict.Fail : doubts.Count > 0 ? Verdict.Inconclusive : Verdict.Pass, anomalies, doubts);

    /// <inheritdoc/>
    public override string ToString() => string.Join('\n', new[] { Verdict.ToString() }.Concat(Anomalies.Select(anomaly => anomaly.ToString())).Concat(Doubts));
}
