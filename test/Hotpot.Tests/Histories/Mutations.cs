using Hotpot.Histories;

namespace Hotpot.Tests.Histories;

/// <summary>Damage to good histories. Each returns null when the history has no place for it.</summary>
internal static class Mutations
{
    /// <summary>A late read returns a value that had been overwritten before it began.</summary>
    public static History? MakeReadStale(IReadOnlyList<Operation> operations)
    {
        var ok = operations.Where(operation => operation.Outcome == Outcome.Ok).ToList();
        foreach (var read in ok.Where(operation => operation.Accesses[0].Kind == AccessKind.Read).Reverse())
        {
            var writes = ok.Where(operation => operation.Accesses[0].Kind == AccessKind.Write && operation.Accesses[0].Key == read.Accesses[0].Key).ToList();
            var newer = writes.LastOrDefault(write => write.CompleteUs < read.InvokeUs);
            var older = newer is null ? null : writes.LastOrDefault(write => write.CompleteUs < newer.InvokeUs);
            if (older is not null) return Replace(operations, read, read with { Accesses = [Access.Read(read.Accesses[0].Key, older.Accesses[0].Values![0])] });
        }
        return null;
    }

    /// <summary>The store forgets one append of a transaction of the outcome, which has another append to another list that is seen.</summary>
    public static (History History, string Key, long Value)? ForgetAppend(IReadOnlyList<Operation> operations, Outcome outcome)
    {
        foreach (var transaction in operations.Where(operation => operation.Outcome == outcome))
        {
            var appends = transaction.Accesses.Where(access => access.Kind == AccessKind.Append).ToList();
            var lost = appends.FirstOrDefault(access => IsSeen(operations, access) && appends.Any(other => other.Key != access.Key && IsSeen(operations, other)));
            if (lost is null) continue;
            return (new History(operations.Select(operation => operation with { Accesses = [.. operation.Accesses.Select(access => Without(access, lost))] })), lost.Key, lost.Values![0]);
        }
        return null;
    }

    /// <summary>One read shows two neighbouring elements the other way round.</summary>
    public static History? Reorder(IReadOnlyList<Operation> operations)
    {
        foreach (var read in operations.Where(operation => operation.Outcome == Outcome.Ok && operation.Accesses.Count == 1 && operation.Accesses[0].Kind == AccessKind.Read))
        {
            var values = read.Accesses[0].Values!.ToArray();
            if (values.Length < 3) continue;
            (values[0], values[1]) = (values[1], values[0]);
            return Replace(operations, read, read with { Accesses = [Access.Read(read.Accesses[0].Key, values)] });
        }
        return null;
    }

    /// <summary>A transaction that was seen claims that it failed.</summary>
    public static History? FailWhatIsSeen(IReadOnlyList<Operation> operations)
    {
        var seen = operations.FirstOrDefault(operation => operation.Outcome == Outcome.Ok && operation.Accesses.Any(access => access.Kind == AccessKind.Append && IsSeen(operations, access)));
        return seen is null ? null : Replace(operations, seen, seen with { Outcome = Outcome.Fail });
    }

    /// <summary>A read transaction of the last third returns a list as it was in the first third.</summary>
    public static History? ReadThePast(IReadOnlyList<Operation> operations)
    {
        foreach (var read in operations.Skip(operations.Count * 2 / 3).Where(operation => operation.Outcome == Outcome.Ok && operation.Accesses.Count == 1 && operation.Accesses[0].Kind == AccessKind.Read))
        {
            var past = operations.Take(operations.Count / 3).Where(operation => operation.Outcome == Outcome.Ok).SelectMany(operation => operation.Accesses)
                .FirstOrDefault(access => access.Kind == AccessKind.Read && access.Key == read.Accesses[0].Key && access.Values!.Count < read.Accesses[0].Values!.Count);
            if (past is not null) return Replace(operations, read, read with { Accesses = [past] });
        }
        return null;
    }

    private static bool IsSeen(IEnumerable<Operation> operations, Access append) =>
        operations.Where(operation => operation.Client == "end").SelectMany(operation => operation.Accesses).Any(access => access.Key == append.Key && access.Values!.Contains(append.Values![0]));

    private static Access Without(Access access, Access lost) =>
        access.Kind == AccessKind.Read && access.Key == lost.Key && access.Values is not null ? access with { Values = [.. access.Values.Where(value => value != lost.Values![0])] } : access;

    private static History Replace(IEnumerable<Operation> operations, Operation old, Operation replacement) =>
        new(operations.Select(operation => ReferenceEquals(operation, old) ? replacement : operation));
}
