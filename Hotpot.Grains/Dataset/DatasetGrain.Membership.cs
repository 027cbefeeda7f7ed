using Hotpot.Grains.Membership;
using Microsoft.Extensions.Logging;

namespace Hotpot.Grains.Dataset;

// Nodes come and go. Each of these calls makes the map right for what is known now and returns; what takes time (settling, copying) is left
// to MaintainAsync. All are idempotent, because every node reports every death.
//
// A node is known by its incarnation. A larger one proves that the smaller is dead, even if nobody noticed its death; a smaller one, or one
// that was declared dead, is refused, so that a node that slept through its own death cannot come back as if nothing had happened.
//
// A fence leaves a chunk to the counted replicas that survive, and from then on to them alone: should the last of them be lost before it serves the chunk,
// nothing says any more that those who were fenced have everything too. So before a fence is stored, every survivor must have answered. One that turns out to
// be dead joins the others: fenced together, any of them will do when it returns.
//
// Whole-cluster restart: the first node that returns finds members that are gone, all of them at once. They are fenced in one step, so a chunk waits for
// any of the replicas it had, and the returning node may be the one it waits for.
internal sealed partial class DatasetGrain
{
    /// <summary>Many times what a call takes, and much less than a node needs to die and come back.</summary>
    private static readonly TimeSpan FreshAnswer = TimeSpan.FromMilliseconds(200);

    /// <summary>A cluster that is always slow is fenced all the same.</summary>
    private const int MaxSlowRounds = 3;

    public async Task NodeJoinedAsync(DatasetDescription description, NodeIdentity node)
    {
        if (node.Protocol != NodeIdentity.CurrentProtocol)
            throw new VersionMismatchException(
                $"Node {node.Node} speaks protocol {node.Protocol} and this cluster {NodeIdentity.CurrentProtocol}; install the same version on all nodes.");
        await EnsureCurrentAsync();
        await AdoptAsync(description);
        Dictionary<NodeId, MemberRecord> dead = (await GoneAsync(CancellationToken.None)).Where(member => member.Node != node.Node)
            .ToDictionary(member => member.Node);
        MemberRecord? known = state.State.Members.Find(member => member.Node == node.Node);
        if (known is not null && (known.Incarnation.CompareTo(node.Incarnation) > 0
            || (known.Incarnation == node.Incarnation && known.Phase == MemberPhase.Dead)))
            throw new NodeUnavailableException($"Incarnation {node.Incarnation} of node {node.Node} has been declared dead; restart its silo.");
        if (known is { Phase: not MemberPhase.Dead } && known.Incarnation != node.Incarnation)
            dead[known.Node] = known;
        await AddDeadSurvivorsAsync(dead);
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
        await EnsureCurrentAsync();
        if (!Exists)
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
        await EnsureCurrentAsync();
        if (!Exists)
            return;
        MemberRecord? known = state.State.Members.Find(member => member.Node == node && member.Incarnation == incarnation);
        if (known is null or { Phase: not MemberPhase.Present })
            return;
        Dictionary<NodeId, MemberRecord> silent = new() { [node] = known };
        await AddDeadSurvivorsAsync(silent);
        if (silent.Remove(node) && silent.Count > 0)
            await FenceAsync(silent.Values);
        await ChangeAsync(
            Decide(entry => ConfigurationDecision.HandOver(entry, node)),
            next => next.Members[next.Members.IndexOf(known)] = known with { Phase = MemberPhase.Leaving });
        LogLeaving(node, Description.Name);
    }

    private async Task FenceAsync(IReadOnlyCollection<MemberRecord> members)
    {
        Dictionary<NodeId, MemberRecord> dead = members.ToDictionary(member => member.Node);
        await AddDeadSurvivorsAsync(dead);
        HashSet<NodeId> nodes = [.. dead.Keys];
        ChunkEntry[] fenced = Decide(entry => ConfigurationDecision.Fence(entry, nodes));
        await ChangeAsync(fenced, next => MarkDead(next, dead.Values));
        CrashPoint.Hit(CrashPoint.AfterFence);
        foreach (MemberRecord member in dead.Values)
            LogFenced(member.Node, member.Incarnation, Description.Name, fenced.Length);
    }

    /// <summary>
    /// Asks the counted replicas that would survive a fence whether they are there, and adds those that are dead as well. Who is asked for long is
    /// waited for, and so the others are asked again: an answer proves nothing about later.
    /// </summary>
    private async Task AddDeadSurvivorsAsync(Dictionary<NodeId, MemberRecord> dead)
    {
        int rounds = 0;
        while (true)
        {
            NodeId[] asked =
            [
                .. _map.Assigned.Where(entry => !entry.Owner.IsNone).Select(ConfigurationDecision.Counted).Where(counted => counted.Any(dead.ContainsKey))
                    .SelectMany(counted => counted).Where(node => !dead.ContainsKey(node)).Distinct(),
            ];
            if (asked.Length == 0)
                return;
            long began = time.GetTimestamp();
            bool[] answered = await Task.WhenAll(asked.Select(AnswersAsync));
            if (answered.All(answer => answer))
            {
                if (time.GetElapsedTime(began) < FreshAnswer || ++rounds == MaxSlowRounds)
                    return;
                continue;
            }
            // Nobody answers a silo that was declared dead.
            if (lifetime.IsFenced)
                throw lifetime.Refusal();
            ClusterNodes nodes = await cluster.RefreshAsync(CancellationToken.None);
            foreach (NodeId node in asked.Where((node, i) => !answered[i] && nodes.IsGone(node)))
                dead[node] = state.State.Members.Single(member => member.Node == node);
            await Task.Delay(InstallRetryDelay, time);
        }
    }

    private async Task<bool> AnswersAsync(NodeId node)
    {
        try
        {
            await GrainFactory.NodeGrain(node).GetPendingAsync();
            return true;
        }
        catch (Exception error) when (TransientErrors.MayPass(error))
        {
            LogMemberSilent(error, node, Id);
            return false;
        }
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
