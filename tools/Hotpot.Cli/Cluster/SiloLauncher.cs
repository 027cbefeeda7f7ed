using System.Globalization;
using Hotpot.Cli.Processes;

namespace Hotpot.Cli.Cluster;

/// <summary>Starts one silo of a local cluster with the settings it needs.</summary>
internal static class SiloLauncher
{
    /// <summary>Set by ./hotpot, which knows where the build put the silo program.</summary>
    private const string SiloVariable = "HOTPOT_SILO_DLL";

    // Only silos built for Orleans listen on ports; the first one's are where the others and clients look (HotpotOptions).
    private const int FirstSiloPort = 11111;
    private const int FirstGatewayPort = 30000;

    public static ProcessIdentity Start(ClusterFolder folder, string medium, NodeRecord node, int index)
    {
        var silo = Environment.GetEnvironmentVariable(SiloVariable);
        if (string.IsNullOrEmpty(silo) || !File.Exists(silo))
            throw new CommandException(ExitCodes.Failed, $"The silo program is not built or {SiloVariable} does not name it; run ./hotpot setup and use ./hotpot cluster up.");
        Directory.CreateDirectory(node.DataDirectory);
        string[] arguments =
        [
            silo,
            "--data-directory", node.DataDirectory,
            "--medium", medium,
            "--cluster-directory", folder.Members,
            "--cluster-key-file", folder.KeyFile,
            "--silo-port", (FirstSiloPort + index).ToString(CultureInfo.InvariantCulture),
            "--gateway-port", (FirstGatewayPort + index).ToString(CultureInfo.InvariantCulture),
        ];
        return BackgroundProcess.Start("dotnet", arguments, folder.LogOf(node.Name));
    }
}
