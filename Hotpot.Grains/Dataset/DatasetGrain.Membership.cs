using Hotpot.Grains.Membership;
using Microsoft.Extensions.Logging;

namespace Hotpot.Grains.Dataset;

// Nodes come and go. Each of these calls makes the map right for what is known now and returns; what takes time (settling, copying) is left
// to MaintainAsync. All are idempotent, because every node reports every death.
//
// A node is known by its incarnation. A larger one proves that the smaller is dead, even if nobody noticed its death; a smaller one, or one
// that was declared dead, is refused, so that a node that slept through its own death cannot come back as if nothing had happened.
//
// Whole-cluster restart: the first node that returns finds members that are gone, all of them at once. They are fenced in one step, so a chunk waits for
// any of the replicas it had, and the returning node may be the one it waits for.
internal sealed partial class DatasetGrain
{
    public async Task NodeJoinedAsync(DatasetDescription description, NodeIdentity node)
    {
        if (node.Protocol != NodeIdentity.CurrentProtocol)
            throw new VersionMismatchException(
                $"Node {node.Node} speaks protocol {node.Protocol} and this cluster {NodeIdentity.CurrentProtocol}; install the same version on all nodes.");
        await AdoptAsync(description);
        Dictionary<NodeId, MemberRecord> dead = (await GoneAsync(CancellationToken.None)).Where(member => member.Node != node.Node)
            .ToDictionary(member => member.Node);
        MemberRecord? known = state.State.Members.Find(member => member.Node == node.Node);
        if (known is not null && (known.Incarnation.CompareTo(node.Incarnation) > 0
            || (known.Incarnation == node.Incarnation && known.Phase == MemberPhase.Dead)))
            throw new NodeUnavailableException($"Incarnation {node.Incarnation} of node {node.Node} has been declared dead; restart its silo.");
        if (known is { Phase: not MemberPhase.Dead } && known.Incarnation != node.Incarnation)
            dead[known.Node] = known;
        if (known?.Incarnation != node.Incarnation || dead.Count > 0)
        {
            MemberRecord record = new() { Node = node.Node, Incarnation = node.Incarnation };
            NodeId[] candidates = [.. Usable().Where(member => !dead.ContainsKey(member)).Append(node.Node).Distinct()];
            HashSet<NodeId> gone = [.. dead.Keys];
            await ChangeAsync(
                Decide(entry => ConfigurationDecision.Fence(entry, gone), entry => ConfigurationDecision.Return(entry, node.Node),
                    entry => ConfigurationDecision.Restore(entry, description.Id, description.Degree, candidates)),
                next =>
                {
                    MarkDead(next, dead.Values);
                    next.Members.RemoveAll(member => member.Node == node.Node);
                    next.Members.Add(record);
                });
            LogJoined(node.Node, node.Incarnation, description.Name);
        }
        await ConfirmAsync();
        await InstallAsync(node.Node, node.Incarnation, _map.Assigned);
    }

    public async Task NodeDiedAsync(NodeId node, Incarnation incarnation)
    {
        if (state.State is not { IsDropped: false, Description: not null })
            return;
        MemberRecord? known = state.State.Members.Find(member => member.Node == node);
        if (known is null)
            return;
        if (known.Phase == MemberPhase.Dead || known.Incarnation.CompareTo(incarnation) > 0)
        {
            // The reporter has cut that life off only now: what it prepared there since the last look must be settled too.
            DeadLife life = new() { Node = node, Incarnation = incarnation };
            if (!state.State.Unsettled.Contains(life))
                await ChangeAsync([], next => next.Unsettled.Add(life));
            return;
        }
        await FenceAsync([known]);
    }

    public async Task HandOverAsync(NodeId node, Incarnation incarnation)
    {
        if (state.State is not { IsDropped: false, Description: not null })
            return;
        MemberRecord? known = state.State.Members.Find(member => member.Node == node && member.Incarnation == incarnation);
        if (known is null or { Phase: not MemberPhase.Present })
            return;
        await ChangeAsync(
            Decide(entry => ConfigurationDecision.HandOver(entry, node)),
            next => next.Members[next.Members.IndexOf(known)] = known with { Phase = MemberPhase.Leaving });
        LogLeaving(node, Description.Name);
    }

    private async Task FenceAsync(IReadOnlyCollection<MemberRecord> dead)
    {
        HashSet<NodeId> nodes = [.. dead.Select(member => member.Node)];
        ChunkEntry[] fenced = Decide(entry => ConfigurationDecision.Fence(entry, nodes));
        await ChangeAsync(fenced, next => MarkDead(next, dead));
        CrashPoint.Hit(CrashPoint.AfterFence);
        foreach (MemberRecord member in dead)
            LogFenced(member.Node, member.Incarnation, Description.Name, fenced.Length);
    }

    /// <summary>Members whose node has no life left, by a fresh look at the membership.</summary>
    private async Task<MemberRecord[]> GoneAsync(CancellationToken cancellationToken)
    {
        if (Members.All(member => cluster.Current.IsLive(member.Node)))
            return [];
        ClusterNodes nodes = await cluster.RefreshAsync(cancellationToken);
        return [.. Members.Where(member => nodes.IsGone(member.Node))];
    }

    private static void MarkDead(DatasetState next, IEnumerable<MemberRecord> dead)
    {
        foreach (MemberRecord member in dead)
        {
            next.Members.RemoveAll(other => other.Node == member.Node);
            next.Members.Add(member with { Phase = MemberPhase.Dead });
            next.Unsettled.Add(new DeadLife { Node = member.Node, Incarnation = member.Incarnation });
        }
    }

    /// <summary>Applies decisions to every entry, one after the other; returns the entries that changed.</summary>
    private ChunkEntry[] Decide(params ReadOnlySpan<Func<ChunkEntry, ChunkEntry?>> decisions)
    {
        List<ChunkEntry> changed = [];
        foreach (ChunkEntry entry in _map.Assigned)
        {
            ChunkEntry current = entry;
            foreach (Func<ChunkEntry, ChunkEntry?> decision in decisions)
                current = decision(current) ?? current;
            if (!ReferenceEquals(current, entry))
                changed.Add(current);
        }
        return [.. changed];
    }

    [LoggerMessage(LogLevel.Information, "Node {Node}, incarnation {Incarnation}, joined dataset '{Dataset}'.")]
    private partial void LogJoined(NodeId node, Incarnation incarnation, string dataset);

    [LoggerMessage(LogLevel.Information, "Node {Node} leaves dataset '{Dataset}'; its chunks go to other replicas.")]
    private partial void LogLeaving(NodeId node, string dataset);

    [LoggerMessage(LogLevel.Warning, "Node {Node}, incarnation {Incarnation}, is dead; dataset '{Dataset}' fenced {Chunks} chunks.")]
    private partial void LogFenced(NodeId node, Incarnation incarnation, string dataset, int chunks);
}
