using Hotpot.Grains.Membership;

namespace Hotpot.Grains.Placement;

/// <summary>Places a grain on the node that its key names: the silo with that node's name, in whatever life it is now.</summary>
[GenerateSerializer]
public sealed class OnNodePlacement : PlacementStrategy;

[AttributeUsage(AttributeTargets.Class, AllowMultiple = false)]
public sealed class OnNodeAttribute() : PlacementAttribute(new OnNodePlacement());

/// <summary>
/// Finds the silo by its name. There is no second choice: a grain that speaks for a node's engine makes no sense elsewhere, so
/// the caller learns that the node is not here and decides what that means.
/// </summary>
internal sealed class OnNodePlacementDirector(IClusterMembershipService membership) : IPlacementDirector
{
    public Task<SiloAddress> OnAddActivation(PlacementStrategy strategy, PlacementTarget target, IPlacementContext context) =>
        Task.FromResult(Choose(target.GrainIdentity.Key.ToString() ?? "", ClusterNodes.From(membership.CurrentSnapshot), context.GetCompatibleSilos(target)));

    internal static SiloAddress Choose(string key, ClusterNodes nodes, SiloAddress[] compatible)
    {
        if (!GrainKeys.TryParseNode(key, out NodeId node))
            throw new InvalidRequestException($"'{key}' does not end in a node id; use the keys of {nameof(GrainKeys)}.");
        return nodes.Live.TryGetValue(node, out SiloAddress? silo) && compatible.Contains(silo)
            ? silo
            : throw new NodeUnavailableException($"Node {node} is not an active member of the cluster; start its silo.");
    }
}
