namespace Hotpot.Histories.Lists;

/// <summary>Why one transaction comes before another; see the head of ListChecker.cs.</summary>
internal enum DependencyKind
{
    WriteWrite,
    WriteRead,
    ReadWrite,
    RealTime,
}

/// <summary>The edge from one transaction to one that comes after it.</summary>
internal sealed record Dependency(Transaction From, Transaction To, DependencyKind Kind, string? Key)
{
    public override string ToString() => Kind switch
    {
        DependencyKind.WriteWrite => $"ww {Key}",
        DependencyKind.WriteRead => $"wr {Key}",
        DependencyKind.ReadWrite => $"rw {Key}",
        _ => "rt",
    };
}

/// <summary>Which transactions come after which.</summary>
internal sealed class DependencyGraph
{
    private readonly List<Dependency>[] _edges;
    private readonly HashSet<(int From, int To, DependencyKind Kind)> _known = [];

    private DependencyGraph(IReadOnlyList<Transaction> transactions)
    {
        Transactions = transactions;
        _edges = [.. transactions.Select(_ => new List<Dependency>())];
    }

    public IReadOnlyList<Transaction> Transactions { get; }

    public IReadOnlyList<Dependency> From(int index) => _edges[index];

    public static DependencyGraph Build(IReadOnlyList<Transaction> transactions, IReadOnlyList<ListHistory> lists, bool realTime)
    {
        var graph = new DependencyGraph(transactions);
        foreach (var list in lists.Where(list => list.Agreed)) graph.AddList(list);
        if (realTime) graph.AddRealTime();
        return graph;
    }

    private void AddList(ListHistory list)
    {
        // Elements of failed transactions and garbage are findings already and have no place in the graph.
        var writers = list.Order.Select(value => list.Appends.GetValueOrDefault(value)?.Transaction).Select(writer => writer is { Happened: true } ? writer : null).ToList();
        var unseen = list.Appends.Values.Where(append => append.Transaction.Happened && list.PositionOf(append.Value) == int.MaxValue).Select(append => append.Transaction).Distinct().ToList();
        var nextWriter = new Transaction?[writers.Count + 1];
        var lastWriter = new Transaction?[writers.Count + 1];
        for (var i = writers.Count - 1; i >= 0; --i) nextWriter[i] = writers[i] ?? nextWriter[i + 1];
        for (var i = 0; i < writers.Count; ++i) lastWriter[i + 1] = writers[i] ?? lastWriter[i];

        for (var i = 0; i < writers.Count; ++i)
        {
            if (lastWriter[i] is { } before && writers[i] is { } writer) Add(before, writer, DependencyKind.WriteWrite, list.Key);
        }
        if (lastWriter[^1] is { } last)
        {
            foreach (var writer in unseen) Add(last, writer, DependencyKind.WriteWrite, list.Key);
        }
        foreach (var read in list.Reads)
        {
            if (lastWriter[read.Values.Count] is { } shown) Add(shown, read.Transaction, DependencyKind.WriteRead, list.Key);
            if (nextWriter[read.Values.Count] is { } following)
            {
                Add(read.Transaction, following, DependencyKind.ReadWrite, list.Key);
                continue;
            }
            foreach (var writer in unseen) Add(read.Transaction, writer, DependencyKind.ReadWrite, list.Key);
        }
    }

    // Only from those that ended last before a transaction began: the others come before one of those. A transaction of
    // unknown outcome has no known end, so nothing comes after it in real time.
    private void AddRealTime()
    {
        var begins = Transactions.Where(transaction => transaction.Happened).ToList(); // In the order of invocation.
        var ends = begins.Where(transaction => transaction.Ok).OrderBy(transaction => transaction.Operation.CompleteUs).ToList();
        var latest = new List<Transaction>();
        var next = 0;
        foreach (var begin in begins)
        {
            for (; next < ends.Count && ends[next].Operation.CompleteUs < begin.Operation.InvokeUs; ++next)
            {
                var ended = ends[next];
                latest.RemoveAll(earlier => earlier.Operation.CompleteUs < ended.Operation.InvokeUs);
                latest.Add(ended);
            }
            foreach (var earlier in latest) Add(earlier, begin, DependencyKind.RealTime, null);
        }
    }

    private void Add(Transaction from, Transaction to, DependencyKind kind, string? key)
    {
        if (from != to && _known.Add((from.Index, to.Index, kind))) _edges[from.Index].Add(new Dependency(from, to, kind, key));
    }
}
