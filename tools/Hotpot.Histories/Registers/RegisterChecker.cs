using System.Globalization;
using Hotpot.Histories.Checking;

namespace Hotpot.Histories.Registers;

// Whether each register of a history is linearizable: whether there is one order of its operations that explains what
// each read returned and in which no operation comes after one that began when it had ended. Registers are checked one
// by one, because linearizability is local.
//
// The search is that of Wing and Gong with Lowe's two improvements: configurations already seen are not searched again,
// and an operation is only put in the order when one that has ended needs it there. It walks through invocations and
// completions in the order of time with the set of all configurations that are possible: the register's value and which
// of the operations that have begun are in the order already. At the completion of an operation each configuration
// without it is extended by all sequences of open operations that end with it. When no configuration is left, none can
// explain the operation that has just ended, and that is the finding.
//
// Two reductions keep the set small. A read whose value is there is put in the order at once; it changes nothing, so
// doing it later is never better. And a write of unknown outcome whose value nobody saw is left out: any order with it
// is also one without it. Without this each of them would stay open until the end and double the set.
//
// Ties count as overlapping: an operation that begins in the microsecond in which another one ends may come before it.
//
// The problem is NP-complete, so the search has a budget of configurations; a register that exceeds it is inconclusive.

/// <summary>Bounds and initial state.</summary>
/// <param name="InitialValue">What a register holds before it is first written.</param>
/// <param name="MaxConfigurations">How many configurations may be visited for one register; each costs about 60 bytes and a microsecond.</param>
public sealed record RegisterOptions(long InitialValue = 0, long MaxConfigurations = 4_000_000);

/// <summary>Decides whether registers are linearizable.</summary>
public static class RegisterChecker
{
    /// <summary>Checks all registers of the history.</summary>
    public static CheckResult Check(History history, RegisterOptions? options = null)
    {
        options ??= new RegisterOptions();
        var anomalies = new List<Anomaly>();
        var doubts = new List<string>();
        foreach (var register in history.Of(Workload.Register).GroupBy(operation => operation.Accesses[0].Key))
        {
            var steps = RegisterSteps.Of(register);
            if (steps.Count == 0) continue;
            var search = new RegisterSearch(options);
            var (stuckAt, reason) = search.Run(steps);
            if (reason is not null) doubts.Add($"Whether register {register.Key} is linearizable is not known: {reason}.");
            else if (stuckAt is not null) anomalies.Add(Describe(register.Key, steps, stuckAt, search));
        }
        return CheckResult.Of(anomalies, doubts);
    }

    private static Anomaly Describe(string key, IReadOnlyList<RegisterStep> steps, RegisterStep stuckAt, RegisterSearch search)
    {
        var values = string.Join(", ", search.ValuesBefore.Order().Take(8).Select(value => value.ToString(CultureInfo.InvariantCulture)));
        var overlapping = steps.Where(step => step != stuckAt && step.InvokeUs <= stuckAt.EndUs && step.EndUs >= stuckAt.InvokeUs);
        return new Anomaly(
            AnomalyKind.NonLinearizable,
            $"register {key} could hold {values} before the operations that were open at {stuckAt.EndUs} us, and no order of those explains the first one here",
            [stuckAt.Operation, .. overlapping.Select(step => step.Operation).Take(15)]);
    }
}
