using System.Runtime.InteropServices;
using Hotpot.Graph.Engine;
using Hotpot.Graph.Loading;
using Hotpot.Graph.Storage;

namespace Hotpot.Tests.Graph;

/// <summary>A loaded graph in ordinary memory: what one node sees of the dataset.</summary>
internal sealed unsafe class GraphMemory : IDisposable
{
    private const nuint Alignment = 4096;

    // Freed by Dispose.
    private byte* _memory;

    public GraphMemory(GraphPlan plan, EdgeList edges)
    {
        _memory = (byte*)NativeMemory.AlignedAlloc((nuint)plan.Bytes, Alignment);
        NativeMemory.Clear(_memory, (nuint)plan.Bytes);
        for (var partition = 0; partition < plan.PartitionCount; partition++)
        {
            using var image = new PartitionImage(plan, edges, partition);
            image.Copy(0, new Span<byte>(_memory + image.Offset, (int)image.Length));
        }

        RootImage.Make(plan, (ulong)_memory).CopyTo(new Span<byte>(_memory, (int)plan.Bytes));
    }

    public GraphRoot* Root => StoredGraph.RootAt(_memory);

    public byte* Start => _memory;

    public void Dispose()
    {
        NativeMemory.AlignedFree(_memory);
        _memory = null;
    }
}

/// <summary>Nodes with a memory of their own each: only what is published reaches the others, as with a dataset.</summary>
internal sealed class CopyingExchange(IReadOnlyList<GraphMemory> nodes, GraphMemory self, TestBarrier barrier) : IExchange
{
    public unsafe Task PublishAsync(IReadOnlyList<MemoryRange> ranges)
    {
        foreach (var range in ranges)
        {
            var offset = range.Address - (nint)self.Start;
            foreach (var other in nodes.Where(node => node != self))
                new ReadOnlySpan<byte>((void*)range.Address, (int)range.Length).CopyTo(new Span<byte>(other.Start + offset, (int)range.Length));
        }

        return Task.CompletedTask;
    }

    public Task MeetAsync() => barrier.ArriveAsync();
}

/// <summary>A barrier between tasks.</summary>
internal sealed class TestBarrier(int participants)
{
    private readonly Lock _lock = new();

    // Both are written under _lock.
    private int _arrived;
    private TaskCompletionSource _open = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public Task ArriveAsync()
    {
        lock (_lock)
        {
            var open = _open;
            if (++_arrived == participants)
            {
                _arrived = 0;
                _open = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                open.SetResult();
            }

            return open.Task;
        }
    }
}
