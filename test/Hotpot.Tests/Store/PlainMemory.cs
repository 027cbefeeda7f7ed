using System.Runtime.InteropServices;
using Hotpot.Grains;
using Hotpot.Runtime;
using Hotpot.Store.Memory;

namespace Hotpot.Tests.Store;

/// <summary>Memory of this process in a dataset's place. A commit is applied in pieces, pages in any order, so that readers meet it half-way; its locks tell when they are broken.</summary>
internal sealed unsafe class PlainMemory(long bytes, long chunkBytes, int seed = 1) : IStoreMemory
{
    private readonly void* _memory = Zeroed(bytes);
    private readonly Lock _lock = new();
    private readonly Random _random = new(seed);

    // Written under _lock.
    private readonly Dictionary<long, int> _held = [];

    public byte* Base => (byte*)_memory;

    public long Bytes => bytes;

    public long ChunkBytes => chunkBytes;

    /// <summary>How many bytes are applied at once; between two pieces other threads get their turn.</summary>
    public int PieceBytes { get; init; } = int.MaxValue;

    /// <summary>Decides what a commit ends with, before anything of it is applied.</summary>
    public Func<IReadOnlyList<ByteWrite>, Exception?> Refuse { get; set; } = _ => null;

    public int Commits { get; private set; }

    public int Locks { get; private set; }

    public List<int> OwnersOfCommits { get; } = [];

    public Task WriteAsync(IReadOnlyList<ByteWrite> writes, CancellationToken cancellationToken)
    {
        if (Refuse(writes) is { } refusal)
            return Task.FromException(refusal);
        ByteWrite[] pieces;
        lock (_lock)
        {
            Commits++;
            OwnersOfCommits.Add(writes.Select(write => write.Offset / chunkBytes).Distinct().Count());
            pieces = [.. writes.SelectMany(Pieces)];
            _random.Shuffle(pieces);
        }
        foreach (ByteWrite piece in pieces)
        {
            piece.Bytes.Span.CopyTo(new Span<byte>(Base + piece.Offset, piece.Bytes.Length));
            if (PieceBytes < int.MaxValue)
                Thread.Yield();
        }
        return Task.CompletedTask;
    }

    public ulong OwnerOf(long offset) => (ulong)(offset / chunkBytes % 2);

    public Task<IAsyncDisposable> LockAsync(ByteRange range, bool isExclusive, CancellationToken cancellationToken)
    {
        lock (_lock)
        {
            int holders = _held.GetValueOrDefault(range.Offset);
            Assert.True(holders == 0 || (holders > 0 && !isExclusive), "The lock of a stripe was asked for while this process has it.");
            _held[range.Offset] = isExclusive ? -1 : holders + 1;
            Locks++;
        }
        return Task.FromResult<IAsyncDisposable>(new Held(this, range.Offset, isExclusive));
    }

    public void Dispose() => NativeMemory.AlignedFree(_memory);

    private IEnumerable<ByteWrite> Pieces(ByteWrite write)
    {
        for (int at = 0; at < write.Bytes.Length; at += PieceBytes)
        {
            int length = Math.Min(PieceBytes, write.Bytes.Length - at);
            yield return new ByteWrite(write.Offset + at, write.Bytes.Slice(at, length));
            if (length == write.Bytes.Length - at)
                yield break;
        }
    }

    private static void* Zeroed(long bytes)
    {
        void* memory = NativeMemory.AlignedAlloc((nuint)bytes, 4096);
        NativeMemory.Clear(memory, (nuint)bytes);
        return memory;
    }

    private sealed class Held(PlainMemory memory, long offset, bool isExclusive) : IAsyncDisposable
    {
        public ValueTask DisposeAsync()
        {
            lock (memory._lock)
                memory._held[offset] -= isExclusive ? -1 : 1;
            return ValueTask.CompletedTask;
        }
    }
}
