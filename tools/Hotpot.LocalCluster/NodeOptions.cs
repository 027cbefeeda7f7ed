namespace Hotpot.LocalCluster;

/// <summary>What a node process is told by the one that starts it.</summary>
/// <param name="BindAddress">"ip:port" of the data path, or null for the default.</param>
/// <param name="Transports">Transports, or null for the default.</param>
/// <param name="Settings">Further settings of the section "Hotpot", each "Name=Value".</param>
public sealed record NodeOptions(
    string DataDirectory, string ClusterDirectory, string ClusterKeyFile, Medium Medium, string? BindAddress = null, string? Transports = null,
    IReadOnlyList<string>? Settings = null);
