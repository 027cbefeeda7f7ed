using Hotpot.Clients;

namespace Hotpot.Cli.Cluster;

/// <summary>A dataset as commands show it and print it as JSON.</summary>
internal sealed record DatasetView(
    string Name, string Id, string Base, long Size, int Degree, string Mode, long ChunkBytes, uint Chunks, uint Assigned, uint Recovering, uint Waiting,
    uint Joining, uint ReplicasMissing, double ReplicatedPercent, IReadOnlyList<DatasetNodeView> Nodes, IReadOnlyList<string> Unreachable)
{
    public static DatasetView Of(DatasetStatus status)
    {
        var description = status.Description;
        var health = status.Health;
        var wanted = (double)health.Assigned * description.Degree;
        return new DatasetView(
            description.Name, description.Id.ToString(), $"0x{description.BaseAddress:x}", description.Size, description.Degree, description.Mode.ToString(),
            description.ChunkBytes, description.ChunkCount, health.Assigned, health.Recovering, health.Waiting, health.Joining, health.ReplicasMissing,
            // How far the background copying has come: nothing assigned means nothing to copy.
            wanted == 0 ? 100 : 100 * (wanted - health.ReplicasMissing) / wanted,
            status.Nodes.Select(node => new DatasetNodeView(
                node.Node.ToString(), node.Statistics.ChunksOwned, node.Statistics.ChunksHeld, node.Statistics.PagesPresent, node.Statistics.StoreBytes)).ToArray(),
            status.Unreachable.Select(node => node.ToString()).ToArray());
    }
}

/// <summary>What one node holds of a dataset.</summary>
internal sealed record DatasetNodeView(string Node, ulong ChunksOwned, ulong ChunksHeld, ulong PagesPresent, ulong StoreBytes);
