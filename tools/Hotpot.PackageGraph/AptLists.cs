using System.Diagnostics;

namespace Hotpot.PackageGraph;

/// <summary>Finds and opens the package lists that apt keeps on this machine.</summary>
/// <remarks>
/// Apt itself is asked for both, because the lists' place, names and compression are its own affair. Only the release proper is
/// taken, not its updates, so that the graph changes with point releases and not with every security fix.
/// </remarks>
public static class AptLists
{
    private const string Helper = "/usr/lib/apt/apt-helper";

    /// <summary>The files with the packages of one release and component.</summary>
    public static async Task<IReadOnlyList<string>> FindAsync(string codename, string component, CancellationToken cancellation)
    {
        string[] arguments =
        [
            "indextargets", "--format", "$(FILENAME)", "Created-By: Packages", "Origin: Debian", $"Codename: {codename}", $"Component: {component}",
        ];
        var output = await RunAsync("apt-get", arguments, reader => reader.ReadToEndAsync(cancellation), cancellation).ConfigureAwait(false);
        return output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Order(StringComparer.Ordinal).ToArray();
    }

    /// <summary>Feeds every stanza of one list to the builder.</summary>
    public static Task AddAsync(string path, DependencyGraphBuilder builder, CancellationToken cancellation)
    {
        return RunAsync(Helper, ["cat-file", path], ReadAll, cancellation);

        Task<int> ReadAll(TextReader reader)
        {
            var count = 0;
            foreach (var stanza in ControlFile.Read(reader))
            {
                cancellation.ThrowIfCancellationRequested();
                builder.Add(stanza);
                count++;
            }

            return Task.FromResult(count);
        }
    }

    private static async Task<T> RunAsync<T>(string program, string[] arguments, Func<TextReader, Task<T>> read, CancellationToken cancellation)
    {
        var start = new ProcessStartInfo(program) { RedirectStandardOutput = true, RedirectStandardInput = true };
        foreach (var argument in arguments)
            start.ArgumentList.Add(argument);
        using var process = Process.Start(start) ?? throw new InvalidOperationException($"{program} did not start.");
        process.StandardInput.Close();
        var result = await read(process.StandardOutput).ConfigureAwait(false);
        await process.WaitForExitAsync(cancellation).ConfigureAwait(false);
        return process.ExitCode == 0 ? result : throw new InvalidOperationException($"{program} ended with exit code {process.ExitCode}.");
    }
}
