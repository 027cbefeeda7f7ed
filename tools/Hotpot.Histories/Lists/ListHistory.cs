using Hotpot.Histories.Checking;

namespace Hotpot.Histories.Lists;

/// <summary>An append to a list.</summary>
internal sealed record ListAppend(Transaction Transaction, long Value, bool LastOfTransaction);

/// <summary>A read of a list by a transaction that succeeded. <see cref="OwnBefore"/>: how many elements it had itself appended before.</summary>
internal sealed record ListRead(Transaction Transaction, IReadOnlyList<long> Values, int OwnBefore);

/// <summary>All that happened to one list.</summary>
internal sealed class ListHistory
{
    private readonly Dictionary<long, ListAppend> _appends = [];
    private readonly Dictionary<long, int> _positions = []; // Written by FindOrder only.

    private ListHistory(string key) => Key = key;

    public string Key { get; }

    public IReadOnlyDictionary<long, ListAppend> Appends => _appends;

    public List<ListRead> Reads { get; } = [];

    /// <summary>The elements in the order that the reads agree on. Written by <see cref="FindOrder"/> only.</summary>
    public IReadOnlyList<long> Order { get; private set; } = [];

    /// <summary>Whether all reads agree; if not, nothing follows from the order. Written by <see cref="FindOrder"/> only.</summary>
    public bool Agreed { get; private set; } = true;

    public bool IsReadAfterLastAck
    {
        get
        {
            var acks = _appends.Values.Where(append => append.Transaction.Ok).Select(append => append.Transaction.Operation.CompleteUs!.Value).ToList();
            return acks.Count == 0 || (Reads.Count > 0 && Reads.Max(read => read.Transaction.Operation.InvokeUs) > acks.Max());
        }
    }

    public static IReadOnlyList<ListHistory> ByKey(IEnumerable<Transaction> transactions)
    {
        var lists = new SortedDictionary<string, ListHistory>(StringComparer.Ordinal);
        foreach (var transaction in transactions)
        {
            var last = transaction.Operation.Accesses.Where(access => access.Kind == AccessKind.Append).GroupBy(access => access.Key).ToDictionary(group => group.Key, group => group.Last());
            var own = new Dictionary<string, int>();
            foreach (var access in transaction.Operation.Accesses)
            {
                if (!lists.TryGetValue(access.Key, out var list)) lists[access.Key] = list = new ListHistory(access.Key);
                if (access.Kind == AccessKind.Read)
                {
                    if (transaction.Ok) list.Reads.Add(new ListRead(transaction, access.Values!, own.GetValueOrDefault(access.Key)));
                    continue;
                }
                own[access.Key] = own.GetValueOrDefault(access.Key) + 1;
                if (!list._appends.TryAdd(access.Values![0], new ListAppend(transaction, access.Values[0], ReferenceEquals(access, last[access.Key]))))
                    throw new HistoryException($"The operation {transaction.Operation} appends {access.Values[0]} to {access.Key}, as another one does; each element must be appended once.");
            }
        }
        return [.. lists.Values];
    }

    /// <summary>Where the element stands in the order; int.MaxValue when no read shows it.</summary>
    public int PositionOf(long value) => _positions.GetValueOrDefault(value, int.MaxValue);

    /// <summary>Finds the order of the elements, and which transactions were seen. Reads that do not agree are findings.</summary>
    public void FindOrder(List<Anomaly> findings)
    {
        if (Reads.Count == 0) return;
        var longest = Reads.MaxBy(read => read.Values.Count)!;
        foreach (var read in Reads)
        {
            var index = Enumerable.Range(0, read.Values.Count).FirstOrDefault(i => read.Values[i] != longest.Values[i], -1);
            if (index < 0) continue;
            Agreed = false;
            findings.Add(new Anomaly(AnomalyKind.IncompatibleOrder, $"element {index} of list {Key} is {read.Values[index]} in the first read and {longest.Values[index]} in the second", [read.Transaction.Operation, longest.Transaction.Operation]));
        }
        Order = longest.Values;
        for (var i = 0; i < Order.Count; ++i)
        {
            if (_positions.TryAdd(Order[i], i)) continue;
            Agreed = false;
            findings.Add(new Anomaly(AnomalyKind.DuplicateElement, $"list {Key} holds {Order[i]} at {_positions[Order[i]]} and at {i}", [longest.Transaction.Operation]));
        }
        FindWhoWasSeen();
    }

    private void FindWhoWasSeen()
    {
        // An element is first seen by the earliest read that is long enough, so each is looked at once when the reads
        // agree. When they do not, each read is looked at in full.
        var covered = 0;
        foreach (var read in Reads.OrderBy(read => read.Transaction.Operation.CompleteUs))
        {
            for (var i = Agreed ? covered : 0; i < read.Values.Count; ++i)
            {
                if (_appends.TryGetValue(read.Values[i], out var append) && append.Transaction != read.Transaction) append.Transaction.SeenBy(read.Transaction.Operation);
            }
            covered = Math.Max(covered, read.Values.Count - read.OwnBefore);
        }
    }
}
