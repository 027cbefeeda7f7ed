using System.Runtime.CompilerServices;

namespace Hotpot.Clients;

// A mapping is memory: the spans, references and pointers it hands out are checked when they are made, and not afterwards.
//
// What can go wrong, and what then happens:
//  - use after Dispose: the address is not mapped any more, and the process dies of SIGSEGV. Dispose last.
//  - a store to memory that is mapped read-only: the same. So a read-only mapping hands out nothing that can be stored to,
//    except the raw address.
//  - an absent page that no node can serve in time: the process gets SIGBUS. ReadAsync and PrefetchAsync report the same
//    situation as PageUnreachableException, so code that must survive it prefetches first.
//
// A thread that loads an absent page in managed code holds up a GC until the page is there. So GetSpan, which knows its range,
// fetches it first in an ordinary P/Invoke, for which the GC does not wait; Ref and Pointer stay as cheap as memory.

/// <summary>A dataset in this process's memory, at its base address, until it is disposed.</summary>
public sealed unsafe class Mapping : IDisposable
{
    // A span larger than this is not fetched as a whole before it is returned: its user may want a few bytes of it, and sequential
    // misses read ahead anyway.
    private const int SpanPrefetchBytes = 4 << 20;

    private readonly Engine _engine;
    private readonly DatasetDescription _dataset;
    private readonly byte* _base;

    // Less than a page may be loaded, or stored to, without another look where it begins below these: the usual access costs two comparisons and inlines. Written
    // by the constructor, and by Dispose, which leaves 0.
    private long _loadsBelow;
    private long _storesBelow;

    // Written once, by the first Dispose.
    private int _disposed;

    internal Mapping(Engine engine, DatasetDescription dataset, MapAccess access)
    {
        _engine = engine;
        _dataset = dataset;
        Access = access;
        _base = (byte*)engine.MapView(dataset.Id, access == MapAccess.ReadWrite);
        _loadsBelow = Math.Max(0, dataset.Size - Limits.PageBytes + 1);
        _storesBelow = access == MapAccess.ReadWrite ? _loadsBelow : 0;
    }

    public MapAccess Access { get; }

    /// <summary>Bytes.</summary>
    public long Size => _dataset.Size;

    public ulong BaseAddress => _dataset.BaseAddress;

    /// <summary>Bytes of the dataset, for loads and stores. At most 2 GiB at once; see <see cref="Slices"/> for more.</summary>
    public Span<byte> GetSpan(long offset, long length) => new(IsQuick(offset, length, _storesBelow) ? _base + offset : PresentForStores(offset, length), (int)length);

    /// <summary>Values that lie one after the other in the dataset, for loads and stores.</summary>
    public Span<T> GetSpan<T>(long offset, int count)
        where T : unmanaged
    {
        long length = (long)count * sizeof(T);
        return new Span<T>(IsQuick(offset, length, _storesBelow) ? _base + offset : PresentForStores(offset, length), count);
    }

    /// <summary>Bytes of the dataset, for loads.</summary>
    public ReadOnlySpan<byte> GetReadOnlySpan(long offset, long length) => new(IsQuick(offset, length, _loadsBelow) ? _base + offset : Present(offset, length), (int)length);

    /// <summary>Values that lie one after the other in the dataset, for loads.</summary>
    public ReadOnlySpan<T> GetReadOnlySpan<T>(long offset, int count)
        where T : unmanaged
    {
        long length = (long)count * sizeof(T);
        return new ReadOnlySpan<T>(IsQuick(offset, length, _loadsBelow) ? _base + offset : Present(offset, length), count);
    }

    /// <summary>A range of any length as spans, one after the other: <c>foreach (Span&lt;byte&gt; s in map.Slices(0, map.Size))</c>.</summary>
    public MappingSlices Slices(long offset, long length, int sliceBytes = MappingSlices.DefaultSliceBytes)
    {
        CheckWritable();
        Check(offset, length);
        return new MappingSlices(this, offset, length, sliceBytes);
    }

    /// <summary>One value in the dataset, for loads and stores.</summary>
    public ref T Ref<T>(long offset)
        where T : unmanaged
    {
        if (!IsQuick(offset, sizeof(T), _storesBelow))
            CheckForStores(offset, sizeof(T));
        return ref Unsafe.AsRef<T>(_base + offset);
    }

    /// <summary>One value in the dataset, for loads.</summary>
    public ref readonly T ReadOnlyRef<T>(long offset)
        where T : unmanaged
    {
        if (!IsQuick(offset, sizeof(T), _loadsBelow))
            Check(offset, sizeof(T));
        return ref Unsafe.AsRef<T>(_base + offset);
    }

    /// <summary>The value at an address that was stored in a dataset, on whichever node.</summary>
    public ref T At<T>(ulong address)
        where T : unmanaged => ref Ref<T>(OffsetOf(address));

    /// <summary>A pointer to one value; nothing is checked when it is used.</summary>
    public T* Pointer<T>(long offset)
        where T : unmanaged
    {
        if (!IsQuick(offset, sizeof(T), _storesBelow))
            CheckForStores(offset, sizeof(T));
        return (T*)(_base + offset);
    }

    /// <summary>The address of a byte: the same on every node and after every restart, so it may be stored in a dataset.</summary>
    public ulong AddressOf(long offset)
    {
        Check(offset, 1);
        return (ulong)(_base + offset);
    }

    /// <summary>The offset of an address that <see cref="AddressOf"/> gave, on whichever node.</summary>
    public long OffsetOf(ulong address)
    {
        if (address < BaseAddress || address - BaseAddress >= (ulong)Size)
            throw new RangeOutsideDatasetException(
                $"Address 0x{address:x} is not inside dataset '{_dataset.Name}', which lies from 0x{BaseAddress:x} to 0x{BaseAddress + (ulong)Size:x}; follow pointers of this dataset only.");
        return (long)(address - BaseAddress);
    }

    /// <summary>Ends the mapping. Nothing made from it may be used afterwards; the last one discards uncommitted stores.</summary>
    public void Dispose()
    {
        _loadsBelow = _storesBelow = 0;
        if (Interlocked.Exchange(ref _disposed, 1) == 0)
            _engine.UnmapView(_dataset.Id);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool IsQuick(long offset, long length, long below) => (ulong)offset < (ulong)below && (ulong)length < Limits.PageBytes;

    private byte* PresentForStores(long offset, long length)
    {
        CheckWritable();
        return Present(offset, length);
    }

    private byte* Present(long offset, long length)
    {
        Check(offset, length);
        if (length > int.MaxValue)
            throw new LimitReachedException($"A span of {length} bytes is not possible; use Slices for more than {int.MaxValue} bytes.");
        if (length is >= Limits.PageBytes and <= SpanPrefetchBytes)
            _engine.Prefetch(_dataset.Id, new ByteRange(offset, length), Dataset.DefaultTimeout);
        return _base + offset;
    }

    private void Check(long offset, long length)
    {
        ObjectDisposedException.ThrowIf(_disposed != 0, this);
        new ByteRange(offset, length).CheckInside(Size, _dataset.Name);
    }

    private void CheckForStores(long offset, long length)
    {
        CheckWritable();
        Check(offset, length);
    }

    private void CheckWritable()
    {
        if (Access == MapAccess.ReadOnly)
            throw new InvalidRequestException(
                $"Dataset '{_dataset.Name}' is mapped read-only here; use the ReadOnly forms, or map it with MapAccess.ReadWrite.");
    }
}
