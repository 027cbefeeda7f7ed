namespace Hotpot.Demo.Node;

/// <summary>What a node process of the demo is told.</summary>
internal sealed record NodeOptions(string DataDirectory, string ClusterDirectory, string ClusterKeyFile, Medium Medium);
