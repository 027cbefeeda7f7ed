using System.CommandLine;
using Hotpot.PackageGraph;

var output = new Argument<FileInfo>("file") { Description = "The graph file to write." };
var codename = new Option<string>("--codename") { Description = "The Debian release to read.", DefaultValueFactory = _ => "bookworm" };
var component = new Option<string>("--component") { Description = "The component to read.", DefaultValueFactory = _ => "main" };
var root = new RootCommand("Derives the dependency graph of a Debian release from the package lists that 'apt-get update' left on this machine.")
{
    output, codename, component,
};
root.SetAction(async (parsed, cancellation) =>
{
    var lists = await AptLists.FindAsync(parsed.GetValue(codename)!, parsed.GetValue(component)!, cancellation);
    if (lists.Count == 0)
    {
        await Console.Error.WriteLineAsync($"apt knows no list of {parsed.GetValue(codename)}/{parsed.GetValue(component)}; run 'apt-get update' on a machine with that release first.");
        return 1;
    }

    var builder = new DependencyGraphBuilder();
    foreach (var list in lists)
        await AptLists.AddAsync(list, builder, cancellation);
    var graph = builder.Build();
    var file = parsed.GetRequiredValue(output);
    await using (var stream = file.Create())
        DependencyGraphFile.Write(stream, graph);
    file.Refresh();
    await Console.Out.WriteLineAsync(
        $"{graph.VertexCount} packages, {graph.EdgeCount} edges, {builder.UnresolvedNames} names that no package satisfies, {file.Length} bytes in {file.FullName}.");
    return 0;
});
return await root.Parse(args).InvokeAsync();
