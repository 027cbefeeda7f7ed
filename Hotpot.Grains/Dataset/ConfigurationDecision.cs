namespace Hotpot.Grains.Dataset;

// How the configuration of one chunk answers to a change of membership. Pure functions, so that the tests enumerate every input;
// each returns null when the entry stays as it is.
//
//   Fence      a set of nodes is dead
//     nobody owns it already                   | stays: its history is with the nodes it waits for
//     no replica is dead                       | stays
//     only joining replicas are dead           | epoch+1, they are dropped; what is counted did not change
//     some counted replica survives            | epoch+1, RECOVERING, the owner or else the first survivor owns it
//     no counted replica survives              | epoch+1, RECOVERING, nobody owns it; it waits for any of the last counted replicas
//
//   Return     a node is alive (again)
//     nobody owns it, and it waits for the node | epoch+1, RECOVERING, the node owns it
//     otherwise                                 | stays (Restore may add it)
//
//   HandOver   a node is about to leave
//     another counted replica exists           | as Fence
//     otherwise                                | stays: the chunk waits for its node, whose store keeps it
//
//   Restore    fewer replicas than the degree
//     somebody owns it, candidates exist       | epoch+1, the best candidates are added as joining
//     otherwise                                | stays
//
//   Migrate    a node uses the chunk most
//     not ACTIVE, or a replica is joining      | stays: one change at a time
//     the node counts, copies = degree         | epoch+1, RECOVERING, the node owns it, the others keep their copies
//     the node counts, copies > degree         | the same, and the last ones give their copies up, the owner before this one first
//     the node owns it, copies <= degree       | stays
//     the node holds no copy                   | epoch+1, it is added as joining, above the degree, if there is room for one more
//
//   Promote    a joining replica is synchronised
//     the node is joining                      | same epoch, its bit is cleared: it counts from now on, and nothing else changed
//     otherwise                                | stays
//
// Why any one of the last counted replicas suffices: a commit is acknowledged only when every counted replica has its record durably, so each of
// them has everything that was acknowledged.
// Potential weakness: a chunk that lost its replicas one after the other waits for the last of them alone, even if no commit
// happened at the last epoch; an earlier one would do then, but nothing proves it.
internal static class ConfigurationDecision
{
    public static ChunkEntry? Fence(ChunkEntry entry, IReadOnlySet<NodeId> dead)
    {
        if (entry.Owner.IsNone || !entry.Replicas.Any(dead.Contains))
            return null;
        NodeId[] counted = Counted(entry);
        NodeId[] survivors = [.. counted.Where(node => !dead.Contains(node))];
        if (survivors.Length == 0)
            return Unowned(entry, counted);
        NodeId[] joining = [.. Joining(entry).Where(node => !dead.Contains(node))];
        bool countedDied = survivors.Length < counted.Length;
        return Build(entry, entry.Epoch.Next, countedDied ? ChunkPhase.Recovering : entry.Phase, survivors, joining);
    }

    public static ChunkEntry? Return(ChunkEntry entry, NodeId node) =>
        entry.Owner.IsNone && entry.Holds(node)
            ? Build(entry, entry.Epoch.Next, ChunkPhase.Recovering, [node], [])
            : null;

    public static ChunkEntry? HandOver(ChunkEntry entry, NodeId leaving) =>
        Counted(entry).Any(node => node != leaving) ? Fence(entry, new HashSet<NodeId> { leaving }) : null;

    public static ChunkEntry? Restore(ChunkEntry entry, DatasetId dataset, int degree, IEnumerable<NodeId> candidates)
    {
        if (entry.Owner.IsNone || entry.Replicas.Length >= degree)
            return null;
        NodeId[] added = ReplicaPlacement.Choose(
            dataset, entry.Chunk, candidates.Where(node => !entry.Holds(node)), degree - entry.Replicas.Length);
        return added.Length == 0
            ? null
            : Build(entry, entry.Epoch.Next, entry.Phase, Counted(entry), [.. Joining(entry), .. added]);
    }

    public static ChunkEntry? Migrate(ChunkEntry entry, NodeId to, int degree)
    {
        if (entry.Owner.IsNone || entry.Phase != ChunkPhase.Active || entry.JoiningMask != 0)
            return null;
        if (!entry.Holds(to))
            return entry.Replicas.Length < Limits.MaxDegree ? Build(entry, entry.Epoch.Next, entry.Phase, entry.Replicas, [to]) : null;
        if (to == entry.Owner && entry.Replicas.Length <= degree)
            return null;
        NodeId[] order = [to, .. entry.Replicas.Where(node => node != to && node != entry.Owner), .. to == entry.Owner ? [] : new[] { entry.Owner }];
        return Build(entry, entry.Epoch.Next, ChunkPhase.Recovering, [.. order.Take(degree)], []);
    }

    public static ChunkEntry? Promote(ChunkEntry entry, NodeId node) =>
        entry.IsJoining(node)
            ? Build(entry, entry.Epoch, entry.Phase, [.. Counted(entry), node], [.. Joining(entry).Where(other => other != node)])
            : null;

    /// <summary>Recovery is done: the chunk is served again, at the epoch that was fenced, by the owner that was chosen.</summary>
    public static ChunkEntry Activate(ChunkEntry entry, NodeId owner) =>
        Build(entry, entry.Epoch, ChunkPhase.Active, [owner, .. Counted(entry).Where(node => node != owner)], Joining(entry));

    public static ChunkEntry Assign(DatasetId dataset, ChunkIndex chunk, NodeId owner, IEnumerable<NodeId> others, int degree) =>
        new()
        {
            Chunk = chunk,
            Phase = ChunkPhase.Active,
            Epoch = Epoch.First,
            Owner = owner,
            Replicas = [owner, .. ReplicaPlacement.Choose(dataset, chunk, others.Where(node => node != owner), degree - 1)],
        };

    /// <summary>
    /// Which of two entries of a chunk is the later one: by epoch, then by leaving RECOVERING, then by fewer joining replicas. Nodes use the same rule.
    /// </summary>
    public static bool IsNewer(ChunkEntry known, ChunkEntry entry) => entry.Epoch != known.Epoch
        ? entry.Epoch.Value > known.Epoch.Value
        : entry.Phase != known.Phase
            ? entry.Phase == ChunkPhase.Active
            : entry.JoiningMask != known.JoiningMask && (entry.JoiningMask & ~known.JoiningMask) == 0;

    public static NodeId[] Counted(ChunkEntry entry) => [.. entry.Replicas.Where(node => !entry.IsJoining(node))];

    public static NodeId[] Joining(ChunkEntry entry) => [.. entry.Replicas.Where(entry.IsJoining)];

    private static ChunkEntry Unowned(ChunkEntry entry, NodeId[] history) => entry with
    {
        Epoch = entry.Epoch.Next,
        Phase = ChunkPhase.Recovering,
        Owner = NodeId.None,
        Replicas = history,
        JoiningMask = 0,
    };

    private static ChunkEntry Build(ChunkEntry entry, Epoch epoch, ChunkPhase phase, NodeId[] counted, NodeId[] joining) => entry with
    {
        Epoch = epoch,
        Phase = phase,
        Owner = counted[0],
        Replicas = [.. counted, .. joining],
        JoiningMask = ((1u << joining.Length) - 1) << counted.Length,
    };
}
