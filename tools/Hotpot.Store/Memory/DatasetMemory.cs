using Hotpot.Clients;

namespace Hotpot.Store.Memory;

/// <summary>A dataset, mapped for loads only: stray stores cannot harm it, nothing uncommitted is ever seen, and other nodes' commits cost this process no page fault.</summary>
internal sealed class DatasetMemory : IStoreMemory
{
    private readonly Dataset _dataset;
    private readonly Mapping _mapping;
    private readonly CommitOptions _options;

    public DatasetMemory(Dataset dataset, CommitOptions options)
    {
        _dataset = dataset;
        _options = options;
        _mapping = dataset.Map(MapAccess.ReadOnly);
    }

    public unsafe byte* Base => (byte*)_mapping.BaseAddress;

    public long Bytes => _dataset.Size;

    public long ChunkBytes => _dataset.Description.ChunkBytes;

    public Task WriteAsync(IReadOnlyList<ByteWrite> writes, CancellationToken cancellationToken) => _dataset.WriteAsync(writes, _options, cancellationToken);

    public ulong OwnerOf(long offset) => _dataset.OwnerOf(offset).Value;

    public async Task<IAsyncDisposable> LockAsync(ByteRange range, bool isExclusive, CancellationToken cancellationToken) =>
        await _dataset.AcquireAsync(range, _options.EffectiveTimeout, isExclusive ? AcquireMode.Exclusive : AcquireMode.Shared, cancellationToken);

    public void Dispose() => _mapping.Dispose();
}
