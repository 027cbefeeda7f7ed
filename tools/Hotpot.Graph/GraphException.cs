namespace Hotpot.Graph;

/// <summary>A graph cannot be loaded, opened or computed on as asked.</summary>
public sealed class GraphException(string message) : Exception(message);
