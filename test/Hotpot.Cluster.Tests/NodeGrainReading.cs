namespace Hotpot.Cluster.Tests;

internal static class NodeGrainReading
{
    /// <summary>Committed bytes as this node has them, in the pieces that a grain call may carry.</summary>
    public static async Task<byte[]> ReadAllAsync(this INodeGrain node, Dataset dataset, long offset, long length)
    {
        byte[] all = new byte[length];
        for (long at = 0; at < length; at += RemoteLimits.MaxBytes)
            (await node.ReadAsync(dataset.Id, offset + at, (int)Math.Min(RemoteLimits.MaxBytes, length - at))).CopyTo(all, at);
        return all;
    }
}
