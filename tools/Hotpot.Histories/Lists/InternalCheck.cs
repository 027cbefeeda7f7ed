using Hotpot.Histories.Checking;

namespace Hotpot.Histories.Lists;

/// <summary>Whether a transaction sees what it has itself read and appended before.</summary>
internal static class InternalCheck
{
    private sealed class Known
    {
        public List<long> Values { get; } = [];

        /// <summary>Whether the whole list is known, or only how it ends.</summary>
        public bool Whole { get; set; }
    }

    public static void Run(Transaction transaction, List<Anomaly> findings)
    {
        var lists = new Dictionary<string, Known>();
        foreach (var access in transaction.Operation.Accesses)
        {
            if (!lists.TryGetValue(access.Key, out var known)) lists[access.Key] = known = new Known();
            if (access.Kind == AccessKind.Append)
            {
                known.Values.Add(access.Values![0]);
                continue;
            }
            var read = access.Values!;
            var expected = known.Values;
            var same = read.Count >= expected.Count && read.Skip(read.Count - expected.Count).SequenceEqual(expected) && (!known.Whole || read.Count == expected.Count);
            if (!same) findings.Add(new Anomaly(AnomalyKind.Internal, $"a transaction read list {access.Key} as it cannot be after its own steps before", [transaction.Operation]));
            known.Values.Clear();
            known.Values.AddRange(read);
            known.Whole = true;
        }
    }
}
