namespace Hotpot.Clients;

// Reads and writes of a process that runs no silo. The bytes travel in grain calls of at most 1 MiB to one of the nodes
// that have the dataset open; that node reads through its own cache, or commits on the caller's behalf. A read moves on to
// the next node when one is gone. A write does so only when the node was not reached at all: after a lost answer nobody knows
// whether the piece was committed, and although writing the same bytes again would not harm this caller, it could
// undo what another node has committed to them in between.
internal static class RemoteAccess
{
    public static async Task ReadAsync(
        IGrainFactory grains, Dataset dataset, long offset, Memory<byte> destination, CancellationToken cancellationToken)
    {
        NodeId[] members = await MembersAsync(grains, dataset, cancellationToken);
        int next = 0;
        while (!destination.IsEmpty)
        {
            int piece = Math.Min(destination.Length, RemoteLimits.MaxBytes);
            byte[] bytes;
            try
            {
                bytes = await grains.NodeGrain(members[next]).ReadAsync(dataset.Id, offset, piece).WaitAsync(cancellationToken);
            }
            catch (Exception failure) when (TransientFailures.IsTransient(failure) && next + 1 < members.Length)
            {
                next++;
                continue;
            }
            bytes.CopyTo(destination);
            destination = destination[piece..];
            offset += piece;
        }
    }

    public static async Task<CommitResult> WriteAsync(
        IGrainFactory grains, Dataset dataset, long offset, ReadOnlyMemory<byte> bytes, CommitOptions options, CancellationToken cancellationToken)
    {
        NodeId[] members = await MembersAsync(grains, dataset, cancellationToken);
        WriteTotal total = new();
        int next = 0;
        do
        {
            int piece = Math.Min(bytes.Length, RemoteLimits.MaxBytes);
            try
            {
                total.Add(await grains.NodeGrain(members[next])
                    .WriteAsync(dataset.Id, offset, bytes[..piece].ToArray(), options).WaitAsync(cancellationToken));
            }
            catch (NodeUnavailableException) when (next + 1 < members.Length)
            {
                next++;
                continue;
            }
            bytes = bytes[piece..];
            offset += piece;
        }
        while (!bytes.IsEmpty);
        return total.Result;
    }

    /// <summary>The members in an order that differs from call to call, so that clients spread over the nodes.</summary>
    private static async Task<NodeId[]> MembersAsync(IGrainFactory grains, Dataset dataset, CancellationToken cancellationToken)
    {
        DatasetHealth health = await TransientFailures.RetryAsync(
            () => grains.DatasetGrain(dataset.Id).GetHealthAsync(), cancellationToken);
        NodeId[] members = [.. health.Members];
        if (members.Length == 0)
            throw new NodeUnavailableException($"No living node has dataset '{dataset.Name}' open; start a silo.");
        Random.Shared.Shuffle(members);
        return members;
    }
}
