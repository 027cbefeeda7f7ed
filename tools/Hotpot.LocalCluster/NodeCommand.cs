using System.CommandLine;
using Microsoft.Extensions.DependencyInjection;

namespace Hotpot.LocalCluster;

/// <summary>The hidden half of a program that starts silos: the command under which it runs as one of them.</summary>
public static class NodeCommand
{
    private const string Name = "node";
    private const string DataDirectory = "--data-directory";
    private const string ClusterDirectory = "--cluster-directory";
    private const string ClusterKeyFile = "--cluster-key-file";
    private const string MediumName = "--medium";
    private const string BindAddress = "--bind-address";
    private const string Transports = "--transports";
    private const string SettingName = "--setting";

    private static readonly TimeSpan s_cleanUpTimeout = TimeSpan.FromSeconds(60);

    /// <param name="services">What the grains of the application need.</param>
    public static Command Create(Action<IServiceCollection> services)
    {
        var data = new Option<string>(DataDirectory) { Required = true };
        var cluster = new Option<string>(ClusterDirectory) { Required = true };
        var key = new Option<string>(ClusterKeyFile) { Required = true };
        var medium = new Option<Medium>(MediumName) { Required = true };
        var address = new Option<string?>(BindAddress);
        var transports = new Option<string?>(Transports);
        var settings = new Option<string[]>(SettingName);
        var command = new Command(Name, "One silo; the program itself starts these.") { data, cluster, key, medium, address, transports, settings };
        command.SetAction((parsed, cancellation) => NodeHost.RunAsync(
            new NodeOptions(
                parsed.GetValue(data)!, parsed.GetValue(cluster)!, parsed.GetValue(key)!, parsed.GetValue(medium), parsed.GetValue(address), parsed.GetValue(transports),
                parsed.GetValue(settings)),
            services, cancellation));
        return command;
    }

    /// <summary>How a program with this command is to be invoked.</summary>
    /// <remarks>
    /// A node leaves SIGTERM to its host: the handler of the command line would block the thread that delivers signals until the command is over, and the host, which is
    /// what ends it, would not hear of the signal. The other commands get time to end every process that they have started.
    /// </remarks>
    public static InvocationConfiguration Invocation(IReadOnlyList<string> arguments) =>
        new() { ProcessTerminationTimeout = arguments is [Name, ..] ? null : s_cleanUpTimeout };

    /// <summary>The command line that <see cref="Create"/> understands.</summary>
    public static IEnumerable<string> Arguments(NodeOptions options)
    {
        yield return Name;
        (string Name, string? Value)[] all =
        [
            (DataDirectory, options.DataDirectory), (ClusterDirectory, options.ClusterDirectory), (ClusterKeyFile, options.ClusterKeyFile),
            (MediumName, options.Medium.ToString()), (BindAddress, options.BindAddress), (Transports, options.Transports),
            .. (options.Settings ?? []).Select(setting => (SettingName, (string?)setting)),
        ];
        foreach (var (name, value) in all)
        {
            if (value is null)
                continue;
            yield return name;
            yield return value;
        }
    }
}
