namespace Hotpot.Graph.Engine;

/// <summary>A range of memory.</summary>
public readonly record struct MemoryRange(nint Address, long Length);

/// <summary>How the nodes of one run see each other's exports.</summary>
public interface IExchange
{
    /// <summary>When it returns, every node sees what is in these ranges.</summary>
    Task PublishAsync(IReadOnlyList<MemoryRange> ranges);

    /// <summary>Returns when all nodes have come so far.</summary>
    Task MeetAsync();
}
