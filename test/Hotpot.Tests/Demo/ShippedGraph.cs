namespace Hotpot.Tests.Demo;

/// <summary>The demo's data file, which the build copies beside the tests.</summary>
internal static class ShippedGraph
{
    public static string Path => System.IO.Path.Combine(AppContext.BaseDirectory, "data", "debian12-packages.graph.br");
}
