namespace Hotpot.Grains.Dataset;

// Assignment: a chunk is nobody's until its first commit, and reads as zeros. The committing node becomes its owner, because it is the one
// that uses it, and other members its replicas. The commit waits for this call, and this call waits for every member, because a
// member that still held the chunk for unassigned would go on reading zeros after the commit returned.
internal sealed partial class DatasetGrain
{
    public async Task<ChunkEntry[]> AssignAsync(ChunkIndex[] chunks, NodeId committingNode, int minDegree)
    {
        await EnsureExistsAsync();
        DatasetDescription description = Description;
        await ConfirmAsync();
        foreach (ChunkIndex chunk in chunks)
        {
            if (chunk.Value >= description.ChunkCount)
                throw new InvalidRequestException($"Chunk {chunk} is outside dataset '{description.Name}', which has {description.ChunkCount}.");
        }
        ChunkIndex[] unassigned = [.. chunks.Where(chunk => _map[chunk] is null).Distinct()];
        if (unassigned.Length > 0)
        {
            NodeId[] usable = [.. Usable()];
            if (!usable.Contains(committingNode))
                throw new NodeUnavailableException($"Node {committingNode} has not joined dataset '{description.Name}'; open the dataset there first.");
            if (usable.Length < minDegree)
                throw new DegreeException(usable.Length, minDegree, committed: false);
            await ChangeAsync(
            [
                .. unassigned.Select(chunk => ConfigurationDecision.Assign(description.Id, chunk, committingNode, usable, description.Degree)),
            ]);
        }
        return [.. chunks.Select(chunk => _map[chunk]!)];
    }

    /// <summary>Members that new replicas may be placed on.</summary>
    private IEnumerable<NodeId> Usable() =>
        Members.Where(member => member.Phase == MemberPhase.Present && cluster.Current.IsLive(member.Node)).Select(member => member.Node);
}
