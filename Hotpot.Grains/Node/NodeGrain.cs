using System.Buffers;
using System.Security.Cryptography;
using Hotpot.Grains.Acquire;
using Hotpot.Grains.Commit;
using Hotpot.Grains.Placement;
using Microsoft.Extensions.Options;

namespace Hotpot.Grains.Node;

/// <summary>Answers for the engine of this silo. It keeps no state of its own, so any activation is as good as another.</summary>
[Reentrant]
[OnNode]
internal sealed class NodeGrain(
    INodeEngine engine, DatasetRegistry datasets, Acquirer acquirer, ICommitter committer, IOptions<HotpotGrainsOptions> options)
    : Grain, INodeGrain
{
    /// <summary>Synchronisations of one call in flight together: enough to keep the link busy, few enough to leave room for commits.</summary>
    private const int ParallelSyncs = 8;

    private NodeId Self => engine.Identity.Node;

    public override Task OnActivateAsync(CancellationToken cancellationToken)
    {
        // A misplaced activation would answer for the wrong engine, which could lose data; the caller gets an error instead.
        string key = this.GetPrimaryKeyString();
        if (key != GrainKeys.Node(Self))
            throw new NodeUnavailableException($"Node {key} was looked for on node {Self}; try again when the membership has settled.");
        return Task.CompletedTask;
    }

    public Task<NodeIdentity> GetIdentityAsync() => Task.FromResult(engine.Identity);

    public Task<NodeIdentity> OpenDatasetAsync(DatasetDescription description)
    {
        datasets.Open(description);
        return Task.FromResult(engine.Identity);
    }

    public Task DropDatasetAsync(DatasetId dataset)
    {
        datasets.Drop(dataset);
        return Task.CompletedTask;
    }

    public async Task<bool> InstallMapAsync(DatasetId dataset, Incarnation incarnation, PackedEntries entries)
    {
        // What a map gives to an earlier life of this node is not this life's: what that one left undecided is settled before this one serves.
        if (incarnation.CompareTo(engine.Identity.Incarnation) < 0)
            return false;
        if (incarnation != engine.Identity.Incarnation)
            throw new NodeUnavailableException(
                $"Incarnation {incarnation} of node {Self} was looked for and {engine.Identity.Incarnation} was found; try again when the membership has settled.");
        await datasets.ApplyMapAsync(datasets.Get(dataset), entries.Unpack());
        return true;
    }

    public Task<PackedStates> GetChunkStatesAsync(DatasetId dataset, PackedChunks chunks)
    {
        datasets.Get(dataset);
        HashSet<ChunkIndex> wanted = chunks.Unpack();
        return Task.FromResult(PackedStates.Of([.. engine.ChunkStates(dataset).Where(state => wanted.Contains(state.Chunk))]));
    }

    public Task<TransactionParticipant[]> GetPendingAsync() => Task.FromResult(engine.Pending());

    public Task<TransactionOutcome> GetOutcomeAsync(TransactionId transaction, DatasetId dataset, ChunkIndex chunk, OutcomeQuestion question) =>
        engine.OutcomeAsync(transaction, dataset, chunk, question);

    public async Task SettleAsync(TransactionId transaction, bool commit)
    {
        await engine.SettleAsync(transaction, commit);
        foreach (LocalDataset dataset in datasets.All)
            dataset.Owned.EndCommitWhenGone(transaction);
    }

    public async Task<long> SyncChunksAsync(DatasetId dataset, ChunkIndex[] chunks, NodeId source)
    {
        long pages = 0;
        foreach (ChunkIndex[] batch in chunks.Chunk(ParallelSyncs))
        {
            Completion[] copied = await Task.WhenAll(batch.Select(chunk => engine.SyncChunkAsync(dataset, chunk, source).AsTask()));
            foreach (Completion completion in copied)
            {
                completion.ThrowIfFailed($"A chunk of dataset {dataset} was not copied from node {source}");
                pages += (long)completion.Value;
            }
        }
        return pages;
    }

    public async Task<byte[]> ReadAsync(DatasetId dataset, long offset, int length)
    {
        LocalDataset local = await datasets.OpenAsync(dataset, CancellationToken.None);
        CheckRemote(length);
        new ByteRange(offset, length).CheckInside(local.Description.Size, local.Description.Name);
        byte[] bytes = new byte[length];
        await engine.ReadAsync(dataset, offset, bytes, options.Value.RemoteReadTimeout);
        return bytes;
    }

    public async Task<CommitResult> WriteAsync(DatasetId dataset, long offset, byte[] bytes, CommitOptions commit)
    {
        LocalDataset local = await datasets.OpenAsync(dataset, CancellationToken.None);
        CheckRemote(bytes.Length);
        if (commit.ReleaseGrants)
            throw new InvalidRequestException("A process without a silo holds no grants to release; leave CommitOptions.ReleaseGrants off.");
        return await committer.WriteAsync(local.Description, offset, bytes, commit, CancellationToken.None);
    }

    public Task<bool> RecallAsync(DatasetId dataset, ByteRange range, NodeId owner) =>
        Task.FromResult(acquirer.Recall(dataset, range));

    public Task<GrantInfo[]> ListHeldGrantsAsync(DatasetId dataset, ByteRange[] ranges) => Task.FromResult(acquirer.ListHeld(dataset, ranges));

    public Task<NodeStatus> StatAsync() =>
        Task.FromResult(new NodeStatus { Identity = engine.Identity, Statistics = engine.Statistics() });

    public async Task<NodeDatasetStatus> StatDatasetAsync(DatasetId dataset)
    {
        await datasets.OpenAsync(dataset, CancellationToken.None);
        return new NodeDatasetStatus { Node = Self, Statistics = engine.DatasetStatistics(dataset) };
    }

    public async Task<byte[]> ChecksumAsync(DatasetId dataset, ByteRange range)
    {
        LocalDataset local = await datasets.OpenAsync(dataset, CancellationToken.None);
        range.CheckInside(local.Description.Size, local.Description.Name);
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        byte[] buffer = ArrayPool<byte>.Shared.Rent(RemoteLimits.MaxBytes);
        try
        {
            for (long done = 0; done < range.Length;)
            {
                int count = (int)Math.Min(RemoteLimits.MaxBytes, range.Length - done);
                await engine.ReadAsync(dataset, range.Offset + done, buffer.AsMemory(0, count), options.Value.RemoteReadTimeout);
                hash.AppendData(buffer, 0, count);
                done += count;
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
        return hash.GetHashAndReset();
    }

    private static void CheckRemote(int length)
    {
        if (length is < 0 or > RemoteLimits.MaxBytes)
            throw new LimitReachedException($"A call carries at most {RemoteLimits.MaxBytes} bytes, not {length}; send several.");
    }
}
