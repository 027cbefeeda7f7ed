using System.Collections.Concurrent;

namespace Hotpot.Chaos.Node;

/// <summary>
/// Clients of one node share its mapping, where two threads that store to the same bytes race as in ordinary memory. So whoever uses an object keeps the other
/// clients of this process off it; against other processes there is nothing but Hotpot.
/// </summary>
internal sealed class KeyLocks
{
    private readonly ConcurrentDictionary<(string Dataset, long Offset), SemaphoreSlim> _locks = new();

    /// <summary>In the order of the offsets, so that two callers cannot wait for each other.</summary>
    public async Task<IDisposable> TakeAsync(string dataset, IEnumerable<long> offsets)
    {
        var taken = new Taken();
        foreach (var offset in offsets.Order())
        {
            var key = _locks.GetOrAdd((dataset, offset), _ => new SemaphoreSlim(1));
            await key.WaitAsync();
            taken.Locks.Push(key);
        }

        return taken;
    }

    private sealed class Taken : IDisposable
    {
        // Filled before anybody else has it, emptied by Dispose.
        public Stack<SemaphoreSlim> Locks { get; } = new();

        public void Dispose()
        {
            while (Locks.TryPop(out var key))
                key.Release();
        }
    }
}
