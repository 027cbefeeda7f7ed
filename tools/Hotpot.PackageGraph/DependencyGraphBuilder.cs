namespace Hotpot.PackageGraph;

/// <summary>Turns package stanzas into a graph.</summary>
/// <remarks>
/// The rules, chosen so that the graph says "what may be needed to have this package", not "what apt would choose today":
/// versions and architectures are ignored; of the alternatives "a | b" each is an edge; a name that no package bears is resolved to
/// every package that provides it; a name that nothing provides makes no edge and is counted; a package's dependency on itself
/// (through a name it provides) makes no edge; two ways to the same package make one edge.
/// The same set of stanzas makes the same graph in whatever order they come.
/// </remarks>
public sealed class DependencyGraphBuilder
{
    private readonly SortedDictionary<string, List<PackageStanza>> _stanzas = new(StringComparer.Ordinal);

    /// <summary>Dependencies of the last <see cref="Build"/> that no package satisfies. Written by Build only.</summary>
    public int UnresolvedNames { get; private set; }

    /// <summary>A package may come more than once (an update beside the release); its dependencies are joined then.</summary>
    public void Add(PackageStanza stanza)
    {
        ArgumentNullException.ThrowIfNull(stanza);
        if (!_stanzas.TryGetValue(stanza.Name, out var sameName))
            _stanzas.Add(stanza.Name, sameName = []);
        sameName.Add(stanza);
    }

    public DependencyGraph Build()
    {
        var names = _stanzas.Keys.ToArray();
        var indexes = new Dictionary<string, int>(names.Length, StringComparer.Ordinal);
        for (var index = 0; index < names.Length; index++)
            indexes.Add(names[index], index);
        var providers = Providers(indexes);
        var unresolved = new HashSet<string>(StringComparer.Ordinal);
        var starts = new int[names.Length + 1];
        var targets = new List<int>();
        var row = new SortedSet<int>();
        for (var index = 0; index < names.Length; index++)
        {
            row.Clear();
            foreach (var wanted in _stanzas[names[index]].SelectMany(stanza => stanza.Dependencies).SelectMany(NamesIn))
            {
                if (indexes.TryGetValue(wanted, out var target))
                    row.Add(target);
                else if (providers.TryGetValue(wanted, out var provided))
                    row.UnionWith(provided);
                else
                    unresolved.Add(wanted);
            }

            row.Remove(index);
            targets.AddRange(row);
            starts[index + 1] = targets.Count;
        }

        UnresolvedNames = unresolved.Count;
        return new DependencyGraph(names, starts, targets.ToArray());
    }

    private Dictionary<string, SortedSet<int>> Providers(Dictionary<string, int> indexes)
    {
        var providers = new Dictionary<string, SortedSet<int>>(StringComparer.Ordinal);
        foreach (var (name, stanzas) in _stanzas)
        {
            foreach (var provided in stanzas.SelectMany(stanza => NamesIn(stanza.Provides)))
            {
                if (!providers.TryGetValue(provided, out var set))
                    providers.Add(provided, set = []);
                set.Add(indexes[name]);
            }
        }

        return providers;
    }

    /// <summary>The package names of a relation field, without "(>= 1.2)", "[amd64]" and ":any".</summary>
    private static IEnumerable<string> NamesIn(string relation)
    {
        foreach (var part in relation.Split([',', '|'], StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            var end = part.AsSpan().IndexOfAny(" \t([<:");
            var name = end < 0 ? part : part[..end];
            if (name.Length > 0)
                yield return name;
        }
    }
}
