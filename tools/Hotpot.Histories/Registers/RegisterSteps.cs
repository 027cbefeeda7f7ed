namespace Hotpot.Histories.Registers;

/// <summary>An operation as the search sees it: what it needs the register to hold, and what it leaves there.</summary>
/// <param name="Operation">Where it comes from.</param>
/// <param name="Needs">The value it must find, or null when it finds any.</param>
/// <param name="Leaves">The value it leaves, or null when it leaves what is there.</param>
internal sealed record RegisterStep(Operation Operation, long? Needs, long? Leaves)
{
    public long InvokeUs => Operation.InvokeUs;

    /// <summary>An operation of unknown outcome may happen at any later time.</summary>
    public long EndUs => Operation.Outcome == Outcome.Ok ? Operation.CompleteUs!.Value : long.MaxValue;

    public bool MustHappen => Operation.Outcome == Outcome.Ok;

    public bool IsRead => Leaves is null;
}

internal static class RegisterSteps
{
    /// <summary>The operations that can matter, in the order of their invocation.</summary>
    public static IReadOnlyList<RegisterStep> Of(IEnumerable<Operation> operations)
    {
        var steps = operations.Where(operation => operation.Outcome != Outcome.Fail).Select(ToStep).Where(step => step.MustHappen || !step.IsRead).ToList();
        // A possible compare-and-set that nobody saw may have been what made another one visible; leaving it out may
        // leave that one unseen in turn.
        for (; ; )
        {
            var seen = steps.Where(step => step.Needs is not null).Select(step => step.Needs!.Value).ToHashSet();
            if (steps.RemoveAll(step => !step.MustHappen && !seen.Contains(step.Leaves!.Value)) == 0) return steps;
        }
    }

    private static RegisterStep ToStep(Operation operation)
    {
        var access = operation.Accesses[0];
        return access.Kind switch
        {
            AccessKind.Read => new RegisterStep(operation, access.Values is { } values ? values[0] : null, null),
            AccessKind.Write => new RegisterStep(operation, null, access.Values![0]),
            AccessKind.Cas => new RegisterStep(operation, access.Values![0], access.Values[1]),
            _ => throw new HistoryException($"The operation {operation} is none of a register; correct its recorder."),
        };
    }
}
