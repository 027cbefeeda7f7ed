using Hotpot.Cli.Processes;

namespace Hotpot.Cli.Cluster;

/// <summary>Starts one silo of a local cluster with the settings it needs.</summary>
internal static class SiloLauncher
{
    /// <summary>Set by ./hotpot, which knows where the build put the silo program.</summary>
    private const string SiloVariable = "HOTPOT_SILO_DLL";

    public static ProcessIdentity Start(ClusterFolder folder, string medium, NodeRecord node)
    {
        var silo = Environment.GetEnvironmentVariable(SiloVariable);
        if (string.IsNullOrEmpty(silo) || !File.Exists(silo))
            throw new CommandException(ExitCodes.Failed, $"The silo program is not built or {SiloVariable} does not name it; run ./hotpot setup and use ./hotpot cluster up.");
        Directory.CreateDirectory(node.DataDirectory);
        string[] arguments =
        [
            silo,
            $"--Hotpot:DataDirectory={node.DataDirectory}",
            $"--Hotpot:Medium={medium}",
            $"--Hotpot:ClusterDirectory={folder.Members}",
            $"--Hotpot:ClusterKeyFile={folder.KeyFile}",
        ];
        return BackgroundProcess.Start("dotnet", arguments, folder.LogOf(node.Name), []);
    }
}
