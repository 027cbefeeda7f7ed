namespace Hotpot.Histories;

/// <summary>
/// The operations of one run, in the order of their invocation. Immutable.
/// </summary>
/// <remarks>
/// Whoever constructs one is held to the rules that the checkers rely on: an outcome that is known has a time of
/// completion, an operation does not end before it begins, each kind has the accesses it may have, and a client begins
/// nothing while its last operation with a known outcome was still running.
/// </remarks>
public sealed class History
{
    private readonly Operation[] _operations;

    /// <exception cref="HistoryException">An operation breaks a rule; the message names it.</exception>
    public History(IEnumerable<Operation> operations)
    {
        _operations = [.. operations.OrderBy(operation => operation.InvokeUs)];
        var ids = new HashSet<(string Client, long Id)>();
        var freeAt = new Dictionary<string, long>();
        foreach (var operation in _operations)
        {
            if (OperationRules.Broken(operation) is { } rule) throw new HistoryException($"The operation {operation} {rule}; correct its recorder.");
            if (!ids.Add((operation.Client, operation.Id))) throw new HistoryException($"The operation {operation} has the id of another one of its client; number them.");
            if (freeAt.TryGetValue(operation.Client, out var busyUntil) && operation.InvokeUs < busyUntil)
                throw new HistoryException($"The operation {operation} begins while its client is busy; give each sequence of operations a client name of its own.");
            if (operation.Outcome != Outcome.Unknown) freeAt[operation.Client] = operation.CompleteUs!.Value;
        }
    }

    /// <summary>All operations.</summary>
    public IReadOnlyList<Operation> Operations => _operations;

    /// <summary>The operations of one kind, in the order of their invocation.</summary>
    public IEnumerable<Operation> Of(Workload kind) => _operations.Where(operation => operation.Kind == kind);
}
