using Hotpot.Grains;
using Hotpot.Runtime;
using Hotpot.Store.Memory;

namespace Hotpot.Tests.Store;

public sealed class CommitQueueTests
{
    private const long Chunk = 1 << 20;

    [Fact]
    public async Task WhatComesWhileACommitIsUnderWayTravelsTogether()
    {
        SlowMemory memory = new();
        CommitQueue queue = new(memory);
        Task first = queue.CommitAsync([Write(0)]);
        Task[] later = [.. Enumerable.Range(1, 5).Select(i => queue.CommitAsync([Write(i), Write(i + 100)]))];
        // The other owner does not wait for this one.
        Task elsewhere = queue.CommitAsync([Write(Chunk)]);
        Assert.Equal([1, 1], memory.Sizes);
        memory.End(1);
        await elsewhere;
        memory.End(0);
        await first;
        await memory.ArrivedAsync(3);
        Assert.Equal([1, 1, 10], memory.Sizes);
        Assert.DoesNotContain(later, task => task.IsCompleted);
        memory.End(2);
        await Task.WhenAll(later);
        Task last = queue.CommitAsync([Write(7)]);
        memory.End(3);
        await last;
    }

    [Fact]
    public async Task AFailureIsToldToAllWhoShareIt()
    {
        SlowMemory memory = new();
        CommitQueue queue = new(memory);
        Task first = queue.CommitAsync([Write(0)]);
        Task[] later = [.. Enumerable.Range(1, 3).Select(i => queue.CommitAsync([Write(i)]))];
        memory.Fail(0, new DegreeException("Too few."));
        await Assert.ThrowsAsync<DegreeException>(() => first);
        await memory.ArrivedAsync(2);
        memory.Fail(1, new OutcomeUnknownException("Nobody answered."));
        foreach (Task task in later)
            await Assert.ThrowsAsync<OutcomeUnknownException>(() => task);
        Task again = queue.CommitAsync([Write(0)]);
        memory.End(2);
        await again;
    }

    private static ByteWrite Write(long offset) => new(offset, new byte[] { 1 });

    /// <summary>Commits that end when the test says so.</summary>
    private sealed class SlowMemory : IStoreMemory
    {
        private readonly List<(int Writes, TaskCompletionSource Done)> _commits = [];
        private readonly SemaphoreSlim _arrived = new(0);

        // Written by ArrivedAsync only.
        private int _seen;

        public unsafe byte* Base => null;

        public long Bytes => 4 * Chunk;

        public long ChunkBytes => Chunk;

        public int[] Sizes
        {
            get
            {
                lock (_commits)
                    return [.. _commits.Select(commit => commit.Writes)];
            }
        }

        public Task WriteAsync(IReadOnlyList<ByteWrite> writes, CancellationToken cancellationToken)
        {
            TaskCompletionSource done = new(TaskCreationOptions.RunContinuationsAsynchronously);
            lock (_commits)
                _commits.Add((writes.Count, done));
            _arrived.Release();
            return done.Task;
        }

        public async Task ArrivedAsync(int count)
        {
            for (; _seen < count; _seen++)
                Assert.True(await _arrived.WaitAsync(TimeSpan.FromSeconds(30)));
        }

        public void End(int commit) => _commits[commit].Done.SetResult();

        public void Fail(int commit, Exception failure) => _commits[commit].Done.SetException(failure);

        public ulong OwnerOf(long offset) => (ulong)(offset / Chunk);

        public Task<IAsyncDisposable> LockAsync(ByteRange range, bool isExclusive, CancellationToken cancellationToken) =>
            throw new NotSupportedException("A queue of commits takes no locks.");

        public void Dispose()
        {
        }
    }
}
