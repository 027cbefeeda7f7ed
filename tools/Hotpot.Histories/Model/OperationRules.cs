namespace Hotpot.Histories;

/// <summary>What an operation must look like for its kind.</summary>
internal static class OperationRules
{
    /// <summary>The rule that is broken, as the second half of a sentence, or null.</summary>
    public static string? Broken(Operation operation)
    {
        if (operation.Outcome != Outcome.Unknown && operation.CompleteUs is null) return "has a known outcome and no time of completion";
        if (operation.CompleteUs < operation.InvokeUs) return "ends before it begins";
        if (operation.Accesses.Count == 0) return "has no access";
        return operation.Accesses.Select(access => Broken(operation, access)).FirstOrDefault(rule => rule is not null) ?? operation.Kind switch
        {
            Workload.Register when operation.Accesses.Count > 1 => "is about a register and has more than one access",
            Workload.Bank when operation.Accesses.Select(access => access.Key).Distinct().Count() < operation.Accesses.Count => "names an account twice",
            Workload.Bank when operation.Accesses.Select(access => access.Kind).Distinct().Count() > 1 => "is both a transfer and a read",
            Workload.Bank when operation.Accesses[0].Kind == AccessKind.Add && operation.Accesses.Sum(access => access.Values![0]) != 0 => "is a transfer that makes or loses money",
            _ => null,
        };
    }

    private static string? Broken(Operation operation, Access access)
    {
        var allowed = (operation.Kind, access.Kind) switch
        {
            (_, AccessKind.Read) => true,
            (Workload.Register, AccessKind.Write or AccessKind.Cas) => true,
            (Workload.List, AccessKind.Append) => true,
            (Workload.Bank or Workload.Counter, AccessKind.Add) => true,
            _ => false,
        };
        if (!allowed) return $"of the kind {operation.Kind} has an access of the kind {access.Kind}";
        if (access.Kind == AccessKind.Read)
        {
            if (access.Values is null) return operation.Outcome == Outcome.Ok ? $"is a read of {access.Key} that succeeded and returned nothing" : null;
            return operation.Kind == Workload.List || access.Values.Count == 1 ? null : $"has a read of {access.Key} with {access.Values.Count} values";
        }
        var wanted = access.Kind == AccessKind.Cas ? 2 : 1;
        if (access.Values?.Count != wanted) return $"has an access to {access.Key} with {access.Values?.Count ?? 0} values where {wanted} belong";
        if (operation.Kind == Workload.Counter && access.Values[0] < 0) return $"takes something off the counter {access.Key}, which only grows";
        return null;
    }
}
