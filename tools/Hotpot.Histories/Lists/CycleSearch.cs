using Hotpot.Histories.Checking;

namespace Hotpot.Histories.Lists;

// From the strongest anomaly to the weakest: the edges that each may use are added one kind after the other, and each
// strongly connected part that this makes holds a cycle of the kind. A part that shares a transaction with a stronger
// finding is not reported again, for it is most often the same defect. G-single is the exception to "one kind after the
// other": a part with rw edges may hold cycles with one and with several of them, so it is searched for one with a
// single rw edge first.

/// <summary>Names the cycles of a dependency graph.</summary>
internal sealed class CycleSearch
{
    // A search for a cycle with one rw edge starts at each of them; a part with more is reported by the weaker name.
    private const int MaxStartsInAPart = 2000;

    private readonly DependencyGraph _graph;
    private readonly List<Anomaly> _findings;
    private readonly HashSet<int> _reported = [];

    private CycleSearch(DependencyGraph graph, List<Anomaly> findings)
    {
        _graph = graph;
        _findings = findings;
    }

    public static void Run(DependencyGraph graph, List<Anomaly> findings)
    {
        var search = new CycleSearch(graph, findings);
        foreach (var realTime in new[] { false, true })
        {
            HashSet<DependencyKind> allowed = [DependencyKind.WriteWrite];
            if (realTime) allowed.Add(DependencyKind.RealTime);
            search.Level(allowed, null, realTime ? AnomalyKind.G0RealTime : AnomalyKind.G0);
            allowed.Add(DependencyKind.WriteRead);
            search.Level(allowed, null, realTime ? AnomalyKind.G1cRealTime : AnomalyKind.G1c);
            search.Level([.. allowed, DependencyKind.ReadWrite], allowed, realTime ? AnomalyKind.GSingleRealTime : AnomalyKind.GSingle);
            search.Level([.. allowed, DependencyKind.ReadWrite], null, realTime ? AnomalyKind.G2RealTime : AnomalyKind.G2);
        }
    }

    // `rest`: what a cycle may use beside its one rw edge; null when it may use all that is allowed.
    private void Level(HashSet<DependencyKind> allowed, HashSet<DependencyKind>? rest, AnomalyKind kind)
    {
        foreach (var part in StronglyConnected.Parts(_graph, allowed))
        {
            if (part.Overlaps(_reported)) continue;
            var cycle = rest is null ? Path(part.Min(), part.Min(), part, allowed) : CycleWithOneReadWrite(part, rest);
            if (cycle is null) continue;
            _reported.UnionWith(part);
            var steps = string.Join(" ", cycle.Select((edge, i) => $"T{i + 1} -{edge}->"));
            _findings.Add(new Anomaly(kind, $"a cycle of {cycle.Count} transactions: {steps} T1", [.. cycle.Select(edge => edge.From.Operation)]));
        }
    }

    private List<Dependency>? CycleWithOneReadWrite(HashSet<int> part, HashSet<DependencyKind> rest)
    {
        var starts = part.SelectMany(_graph.From).Where(edge => edge.Kind == DependencyKind.ReadWrite && part.Contains(edge.To.Index));
        foreach (var start in starts.Take(MaxStartsInAPart))
        {
            if (Path(start.To.Index, start.From.Index, part, rest) is { } path) return [start, .. path];
        }
        return null;
    }

    // The shortest path of at least one edge within the part; null when there is none.
    private List<Dependency>? Path(int from, int to, HashSet<int> part, HashSet<DependencyKind> allowed)
    {
        var cameBy = new Dictionary<int, Dependency>();
        var queue = new Queue<int>([from]);
        while (queue.TryDequeue(out var at))
        {
            foreach (var edge in _graph.From(at))
            {
                if (!allowed.Contains(edge.Kind) || !part.Contains(edge.To.Index) || !cameBy.TryAdd(edge.To.Index, edge)) continue;
                if (edge.To.Index != to)
                {
                    queue.Enqueue(edge.To.Index);
                    continue;
                }
                var path = new List<Dependency>();
                for (var step = edge; ; step = cameBy[step.From.Index])
                {
                    path.Insert(0, step);
                    if (step.From.Index == from) return path;
                }
            }
        }
        return null;
    }
}
