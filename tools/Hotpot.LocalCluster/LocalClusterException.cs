namespace Hotpot.LocalCluster;

/// <summary>A silo process did not do what it must; the message is one sentence for the user.</summary>
public class LocalClusterException(string message) : Exception(message);
