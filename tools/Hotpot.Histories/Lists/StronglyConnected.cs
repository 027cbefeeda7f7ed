namespace Hotpot.Histories.Lists;

/// <summary>Tarjan's algorithm, without recursion: histories are longer than stacks are deep.</summary>
internal static class StronglyConnected
{
    /// <summary>The parts of more than one transaction in which each is reached from each by edges that are allowed.</summary>
    public static IReadOnlyList<HashSet<int>> Parts(DependencyGraph graph, HashSet<DependencyKind> allowed)
    {
        var count = graph.Transactions.Count;
        var order = new int[count]; // 0: not visited.
        var low = new int[count];
        var onStack = new bool[count];
        var stack = new Stack<int>();
        var path = new Stack<(int Node, int NextEdge)>();
        var parts = new List<HashSet<int>>();
        var visited = 0;
        for (var root = 0; root < count; ++root)
        {
            if (order[root] == 0) path.Push((root, 0));
            while (path.TryPop(out var step))
            {
                var (node, nextEdge) = step;
                if (nextEdge == 0)
                {
                    order[node] = low[node] = ++visited;
                    onStack[node] = true;
                    stack.Push(node);
                }
                else if (graph.From(node)[nextEdge - 1] is var came && allowed.Contains(came.Kind) && onStack[came.To.Index])
                {
                    low[node] = Math.Min(low[node], low[came.To.Index]);
                }
                var descended = false;
                for (var i = nextEdge; i < graph.From(node).Count && !descended; ++i)
                {
                    var edge = graph.From(node)[i];
                    if (!allowed.Contains(edge.Kind)) continue;
                    if (order[edge.To.Index] == 0)
                    {
                        path.Push((node, i + 1));
                        path.Push((edge.To.Index, 0));
                        descended = true;
                    }
                    else if (onStack[edge.To.Index])
                    {
                        low[node] = Math.Min(low[node], order[edge.To.Index]);
                    }
                }
                if (descended || low[node] != order[node]) continue;
                var part = new HashSet<int>();
                int member;
                do
                {
                    member = stack.Pop();
                    onStack[member] = false;
                    part.Add(member);
                }
                while (member != node);
                if (part.Count > 1) parts.Add(part);
            }
        }
        return parts;
    }
}
