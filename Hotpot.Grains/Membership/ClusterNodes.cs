using System.Collections.Frozen;

namespace Hotpot.Grains.Membership;

/// <summary>The Hotpot nodes among the members of the cluster, at one version of the membership. Immutable.</summary>
internal sealed class ClusterNodes
{
    private readonly FrozenDictionary<NodeId, SiloAddress> _live;
    private readonly FrozenSet<NodeId> _present;
    private readonly FrozenSet<SiloAddress> _presentSilos;

    public ClusterNodes(MembershipVersion version, IEnumerable<(NodeId Node, SiloAddress Silo, SiloStatus Status)> members)
    {
        Version = version;
        Dictionary<NodeId, SiloAddress> live = [];
        HashSet<NodeId> present = [];
        HashSet<SiloAddress> presentSilos = [];
        HashSet<NodeId> holders = [];
        foreach ((NodeId node, SiloAddress silo, SiloStatus status) in members)
        {
            if (status is not (SiloStatus.Dead or SiloStatus.None))
            {
                present.Add(node);
                presentSilos.Add(silo);
            }
            if (status is SiloStatus.Active or SiloStatus.ShuttingDown or SiloStatus.Stopping)
                holders.Add(node);
            // A restart may be active before its earlier life has been declared dead; the larger generation is the one that runs.
            if (status == SiloStatus.Active && (!live.TryGetValue(node, out SiloAddress? known) || known.Generation < silo.Generation))
                live[node] = silo;
        }
        _live = live.ToFrozenDictionary();
        _present = present.ToFrozenSet();
        Holders = holders.ToFrozenSet();
        _presentSilos = presentSilos.ToFrozenSet();
    }

    public MembershipVersion Version { get; }

    /// <summary>Active nodes: they can be called, and new replicas may be placed on them.</summary>
    public IReadOnlyDictionary<NodeId, SiloAddress> Live => _live;

    /// <summary>Nodes with a life that may hold something it got while it was active.</summary>
    public IReadOnlySet<NodeId> Holders { get; }

    public bool IsLive(NodeId node) => _live.ContainsKey(node);

    /// <summary>
    /// No life of the node is starting, active or stopping. Only this proves that the incarnation one knows is dead without
    /// asking it: a node that is merely not active may still be serving.
    /// </summary>
    public bool IsGone(NodeId node) => !_present.Contains(node);

    /// <summary>This life of a node is over, whether or not a later one has begun.</summary>
    public bool IsDead(NodeId node, SiloAddress silo) =>
        !_presentSilos.Contains(silo) || (_live.TryGetValue(node, out SiloAddress? live) && live.Generation > silo.Generation);

    public static ClusterNodes From(ClusterMembershipSnapshot snapshot)
    {
        List<(NodeId, SiloAddress, SiloStatus)> members = [];
        foreach (ClusterMember member in snapshot.Members.Values)
        {
            if (GrainKeys.TryParseSiloName(member.Name, out NodeId node))
                members.Add((node, member.SiloAddress, member.Status));
        }
        return new ClusterNodes(snapshot.Version, members);
    }
}

/// <summary>The membership of the actor host, reduced to Hotpot nodes.</summary>
internal interface IClusterView
{
    ClusterNodes Current { get; }

    /// <summary>Reads the membership afresh, so that <see cref="Current"/> is not older than this call.</summary>
    ValueTask<ClusterNodes> RefreshAsync(CancellationToken cancellationToken);

    /// <summary>The current nodes, then every later version.</summary>
    IAsyncEnumerable<ClusterNodes> WatchAsync(CancellationToken cancellationToken);
}

internal sealed class ClusterView(IClusterMembershipService membership) : IClusterView
{
    // Every commit and every arrival at a barrier looks, and making the nodes costs more than a grain call's own work. Written by whoever sees a new snapshot first;
    // one reference, so that the two always belong together.
    private Reduced? _last;

    public ClusterNodes Current => Reduce(membership.CurrentSnapshot);

    public async ValueTask<ClusterNodes> RefreshAsync(CancellationToken cancellationToken)
    {
        await membership.Refresh(default, cancellationToken);
        return Current;
    }

    public async IAsyncEnumerable<ClusterNodes> WatchAsync(
        [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await foreach (ClusterMembershipSnapshot snapshot in membership.MembershipUpdates.WithCancellation(cancellationToken))
            yield return Reduce(snapshot);
    }

    private ClusterNodes Reduce(ClusterMembershipSnapshot snapshot)
    {
        Reduced? last = Volatile.Read(ref _last);
        if (last is not null && ReferenceEquals(last.Snapshot, snapshot))
            return last.Nodes;
        ClusterNodes nodes = ClusterNodes.From(snapshot);
        Volatile.Write(ref _last, new Reduced(snapshot, nodes));
        return nodes;
    }

    private sealed record Reduced(ClusterMembershipSnapshot Snapshot, ClusterNodes Nodes);
}
