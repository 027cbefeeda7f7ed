using Hotpot.Histories;

namespace Hotpot.Tests.Histories;

/// <summary>
/// The definition, written down: is there a subset of the unknown operations and an order of it and all successful ones,
/// in real time, that explains what was read? Tries them all, so it is for a handful of operations.
/// </summary>
internal static class EveryOrder
{
    /// <summary>Applies an operation to the state, or returns null when the state does not explain it. States are immutable.</summary>
    public delegate IReadOnlyDictionary<string, long[]>? Model(IReadOnlyDictionary<string, long[]> state, Operation operation);

    public static bool Explains(IReadOnlyList<Operation> operations, Model model) =>
        Extend(new Dictionary<string, long[]>(), [.. operations.Where(operation => operation.Outcome != Outcome.Fail)], model);

    public static IReadOnlyDictionary<string, long[]>? RegisterModel(IReadOnlyDictionary<string, long[]> state, Operation operation)
    {
        var access = operation.Accesses[0];
        var value = state.TryGetValue(access.Key, out var held) ? held[0] : 0;
        return access.Kind switch
        {
            AccessKind.Read => operation.Outcome == Outcome.Unknown || access.Values![0] == value ? state : null,
            AccessKind.Cas when access.Values![0] != value => operation.Outcome == Outcome.Unknown ? state : null,
            _ => With(state, access.Key, [access.Values![^1]]),
        };
    }

    public static IReadOnlyDictionary<string, long[]>? ListModel(IReadOnlyDictionary<string, long[]> state, Operation operation)
    {
        foreach (var access in operation.Accesses)
        {
            var list = state.GetValueOrDefault(access.Key, []);
            if (access.Kind == AccessKind.Append) state = With(state, access.Key, [.. list, access.Values![0]]);
            else if (operation.Outcome == Outcome.Ok && !list.SequenceEqual(access.Values!)) return null;
        }
        return state;
    }

    private static IReadOnlyDictionary<string, long[]> With(IReadOnlyDictionary<string, long[]> state, string key, long[] values) =>
        new Dictionary<string, long[]>(state) { [key] = values };

    private static bool Extend(IReadOnlyDictionary<string, long[]> state, List<Operation> left, Model model)
    {
        if (left.All(operation => operation.Outcome == Outcome.Unknown)) return true;
        foreach (var next in left)
        {
            if (left.Any(other => other != next && other.Outcome == Outcome.Ok && other.CompleteUs < next.InvokeUs)) continue;
            if (model(state, next) is { } after && Extend(after, [.. left.Where(other => other != next)], model)) return true;
        }
        return false;
    }
}
