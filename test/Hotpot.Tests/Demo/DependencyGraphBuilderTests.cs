using Hotpot.PackageGraph;
using Xunit;

namespace Hotpot.Tests.Demo;

public sealed class DependencyGraphBuilderTests
{
    private const string Lists = """
        Package: editor
        Version: 1.0
        Provides: vi (= 1.0), text-editor
        Depends: libc6 (>= 2.36),
         libtinfo6:any
        Description: edits
         Depends: on your taste

        Package: mailer
        Pre-Depends: init-tools [amd64]
        Depends: text-editor | nano, libc6
        Recommends: mailer, ghost
        Suggests: libtinfo6

        Package: nano
        Provides: text-editor

        Package: libc6

        Package: libtinfo6
        Depends: libc6

        Package: init-tools
        """;

    [Fact]
    public void Fields_alternatives_virtual_names_and_qualifiers_make_the_edges_they_should()
    {
        var graph = Build(Stanzas(Lists), out var unresolved);

        Assert.Equal(["editor", "init-tools", "libc6", "libtinfo6", "mailer", "nano"], Enumerable.Range(0, graph.VertexCount).Select(graph.Name));
        Assert.Equal(["libc6", "libtinfo6"], TargetNames(graph, "editor"));
        Assert.Equal(["editor", "init-tools", "libc6", "nano"], TargetNames(graph, "mailer"));
        Assert.Equal(["libc6"], TargetNames(graph, "libtinfo6"));
        Assert.Empty(TargetNames(graph, "nano"));
        Assert.Equal(1, unresolved);
    }

    [Fact]
    public void The_order_of_the_lists_does_not_matter()
    {
        var forward = Build(Stanzas(Lists), out _);
        var backward = Build(Stanzas(Lists).Reverse(), out _);

        Assert.Equal(Written(forward), Written(backward));
    }

    [Fact]
    public void A_package_listed_twice_has_the_dependencies_of_both()
    {
        var graph = Build(Stanzas("Package: a\nDepends: b\n\nPackage: b\n\nPackage: c\n\nPackage: a\nDepends: c\n"), out _);

        Assert.Equal(["b", "c"], TargetNames(graph, "a"));
    }

    [Theory]
    [InlineData("Version: 1\n")]
    [InlineData(" folded before any field\n")]
    [InlineData("Package: a\nno colon here\n")]
    public void A_list_that_is_no_control_file_is_refused(string text)
    {
        Assert.Throws<InvalidDataException>(() => Stanzas(text).Count());
    }

    [Fact]
    public void A_transposed_graph_turns_every_edge_round()
    {
        var graph = Build(Stanzas(Lists), out _);

        var transposed = graph.Transpose();

        Assert.Equal(graph.EdgeCount, transposed.EdgeCount);
        Assert.Equal(["editor", "libtinfo6", "mailer"], TargetNames(transposed, "libc6"));
        Assert.Equal(Written(graph), Written(transposed.Transpose()));
    }

    private static IEnumerable<PackageStanza> Stanzas(string text) => ControlFile.Read(new StringReader(text));

    private static DependencyGraph Build(IEnumerable<PackageStanza> stanzas, out int unresolved)
    {
        var builder = new DependencyGraphBuilder();
        foreach (var stanza in stanzas)
            builder.Add(stanza);
        var graph = builder.Build();
        unresolved = builder.UnresolvedNames;
        return graph;
    }

    private static string[] TargetNames(DependencyGraph graph, string name) =>
        graph.Targets(graph.Find(name)!.Value).ToArray().Select(graph.Name).ToArray();

    private static byte[] Written(DependencyGraph graph)
    {
        using var stream = new MemoryStream();
        DependencyGraphFile.Write(stream, graph);
        return stream.ToArray();
    }
}
