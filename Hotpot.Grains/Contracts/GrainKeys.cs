namespace Hotpot.Grains;

/// <summary>
/// The keys of Hotpot's grains. A grain that belongs to a node has the node's id as the last part of its key, because the
/// placement director reads it there.
/// </summary>
public static class GrainKeys
{
    public const string Namespace = "namespace";

    /// <summary>Every silo of a Hotpot cluster is named so; others find it by this name, whatever its address is today.</summary>
    private const string SiloPrefix = "hotpot-";

    public static string Dataset(DatasetId dataset) => dataset.ToString();

    public static string Node(NodeId node) => node.ToString();

    public static string Owner(DatasetId dataset, NodeId node) => $"{dataset}/{node}";

    public static string SiloName(NodeId node) => SiloPrefix + node;

    /// <summary>False for a silo that is not a Hotpot node, such as one that only runs application grains.</summary>
    public static bool TryParseSiloName(string? siloName, out NodeId node)
    {
        node = NodeId.None;
        return siloName is not null
            && siloName.StartsWith(SiloPrefix, StringComparison.Ordinal)
            && NodeId.TryParse(siloName[SiloPrefix.Length..], out node)
            && !node.IsNone;
    }

    /// <summary>Takes the node out of the key of a grain that is placed on one.</summary>
    public static bool TryParseNode(string key, out NodeId node)
    {
        int slash = key.LastIndexOf('/');
        return NodeId.TryParse(slash < 0 ? key : key[(slash + 1)..], out node) && !node.IsNone;
    }

    public static (DatasetId Dataset, NodeId Node) ParseOwner(string key)
    {
        int slash = key.IndexOf('/');
        return slash > 0
            ? (DatasetId.Parse(key[..slash]), NodeId.Parse(key[(slash + 1)..]))
            : throw new FormatException($"'{key}' is not the key of an owner grain; it has the form <dataset>/<node>.");
    }

    public static INamespaceGrain NamespaceGrain(this IGrainFactory grains) => grains.GetGrain<INamespaceGrain>(Namespace);

    public static IDatasetGrain DatasetGrain(this IGrainFactory grains, DatasetId dataset) => grains.GetGrain<IDatasetGrain>(Dataset(dataset));

    public static INodeGrain NodeGrain(this IGrainFactory grains, NodeId node) => grains.GetGrain<INodeGrain>(Node(node));

    public static IOwnerGrain OwnerGrain(this IGrainFactory grains, DatasetId dataset, NodeId node) =>
        grains.GetGrain<IOwnerGrain>(Owner(dataset, node));
}
