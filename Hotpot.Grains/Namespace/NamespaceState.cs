namespace Hotpot.Grains.Namespace;

/// <summary>What the namespace grain stores. Only ever written whole, by that grain.</summary>
[GenerateSerializer]
[Alias("hotpot.NamespaceState")]
internal sealed class NamespaceState
{
    /// <summary>The id that the next dataset gets. It only grows, so no id is ever given to a second dataset.</summary>
    [Id(0)] public ulong NextId { get; set; } = 1;

    /// <summary>The first address not given away yet; 0: the start of the region.</summary>
    [Id(1)] public ulong NextBase { get; set; }

    [Id(2)] public List<NamespaceEntry> Entries { get; set; } = [];
}

/// <summary>One dataset of the namespace.</summary>
[GenerateSerializer]
[Immutable]
[Alias("hotpot.NamespaceEntry")]
internal sealed record NamespaceEntry
{
    [Id(0)] public required DatasetDescription Description { get; init; }

    /// <summary>The request that made it; the same request again gets the same dataset.</summary>
    [Id(1)] public required Guid RequestId { get; init; }

    /// <summary>It is being removed: its name is free when every node has dropped it.</summary>
    [Id(2)] public bool IsRemoving { get; init; }
}
