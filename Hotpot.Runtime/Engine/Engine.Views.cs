using System.Runtime.CompilerServices;
using Hotpot.Runtime.Interop;

namespace Hotpot.Runtime;

public sealed unsafe partial class Engine
{
    /// <summary>
    /// Maps the dataset at its base address and returns that address. Counted: each call needs one <see cref="UnmapView"/>.
    /// A writable map upgrades an earlier read-only one.
    /// </summary>
    public nint MapView(DatasetId dataset, bool writable)
    {
        void* address = null;
        HpError error = default;
        NativeStatus.Check(
            ViewInterop.Map(_handle, dataset.Value, writable ? 1u : 0u, &address, &error), error, $"Dataset {dataset} was not mapped");
        return (nint)address;
    }

    /// <summary>The last unmap discards uncommitted stores. No thread may use the view's memory after it.</summary>
    public void UnmapView(DatasetId dataset)
    {
        HpError error = default;
        NativeStatus.Check(ViewInterop.Unmap(_handle, dataset.Value, &error), error, $"Dataset {dataset} was not unmapped");
    }

    /// <summary>Throws away uncommitted stores in the pages that the ranges touch; no range means the whole mapping.</summary>
    public void Discard(DatasetId dataset, ReadOnlySpan<ByteRange> ranges)
    {
        HpError error = default;
        fixed (ByteRange* first = ranges)
            NativeStatus.Check(
                ViewInterop.Discard(_handle, dataset.Value, first, (uint)ranges.Length, &error),
                error, $"The stores to dataset {dataset} were not discarded");
    }

    /// <summary>Blocking. Makes the range present, and mapped if there is a view.</summary>
    public void Prefetch(DatasetId dataset, ByteRange range, TimeSpan timeout)
    {
        HpError error = default;
        NativeStatus.Check(
            ViewInterop.Prefetch(_handle, dataset.Value, checked((ulong)range.Offset), checked((ulong)range.Length), Milliseconds(timeout), &error),
            error, $"Bytes {range} of dataset {dataset} were not fetched");
    }

    /// <inheritdoc cref="Prefetch"/>
    public Task PrefetchAsync(DatasetId dataset, ByteRange range, TimeSpan timeout, CancellationToken cancellationToken = default) =>
        Task.Run(() => Prefetch(dataset, range, timeout), cancellationToken);

    /// <summary>Blocking. Copies committed bytes; uncommitted stores of this node are not seen.</summary>
    public void Read(DatasetId dataset, long offset, Span<byte> to, TimeSpan timeout)
    {
        HpError error = default;
        fixed (byte* first = to)
            NativeStatus.Check(
                ViewInterop.Read(_handle, dataset.Value, checked((ulong)offset), (ulong)to.Length, first, Milliseconds(timeout), &error),
                error, $"{to.Length} bytes at {offset} of dataset {dataset} were not read");
    }

    /// <inheritdoc cref="Read"/>
    public Task ReadAsync(
        DatasetId dataset, long offset, Memory<byte> to, TimeSpan timeout, CancellationToken cancellationToken = default) =>
        Task.Run(() => Read(dataset, offset, to.Span, timeout), cancellationToken);
}
