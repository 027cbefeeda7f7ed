using Hotpot.Grains.Membership;
using Hotpot.Grains.Node;
using Microsoft.Extensions.Logging;

namespace Hotpot.Grains.Acquire;

/// <summary>The other nodes as holders of grants, asked through their node grains.</summary>
internal sealed partial class GrantHolders(
    IGrainFactory grains, INodeEngine engine, IClusterView cluster, TimeProvider time, ILogger<GrantHolders> logger) : IGrantHolders
{
    private static readonly TimeSpan RetryDelay = TimeSpan.FromMilliseconds(20);

    public async Task<bool> RecallAsync(NodeId holder, DatasetId dataset, ByteRange range)
    {
        try
        {
            // A later life of the node answers that nobody uses it, which is true.
            return await grains.NodeGrain(holder).RecallAsync(dataset, range, engine.Identity.Node);
        }
        catch (NodeUnavailableException) when (cluster.Current.IsGone(holder))
        {
            return true;
        }
    }

    public async Task<GrantInfo[]> ListHeldAsync(DatasetId dataset, ByteRange[] ranges, CancellationToken cancellationToken)
    {
        ClusterNodes nodes = await cluster.RefreshAsync(cancellationToken);
        return [.. (await Task.WhenAll(nodes.Holders.Select(node => ListHeldAsync(node, dataset, ranges, cancellationToken)))).SelectMany(held => held)];
    }

    private async Task<GrantInfo[]> ListHeldAsync(NodeId node, DatasetId dataset, ByteRange[] ranges, CancellationToken cancellationToken)
    {
        while (true)
        {
            try
            {
                return await grains.NodeGrain(node).ListHeldGrantsAsync(dataset, ranges).WaitAsync(cancellationToken);
            }
            catch (Exception error) when (TransientErrors.MayPass(error))
            {
                // Silence proves nothing: only the membership's word that the node is dead does.
                if ((await cluster.RefreshAsync(cancellationToken)).IsGone(node))
                    return [];
                LogSilent(error, node, dataset);
            }
            await Task.Delay(RetryDelay, time, cancellationToken);
        }
    }

    [LoggerMessage(LogLevel.Debug, "Node {Node} did not say which grants of dataset {Dataset} it holds; it is asked again.")]
    private partial void LogSilent(Exception error, NodeId node, DatasetId dataset);
}
