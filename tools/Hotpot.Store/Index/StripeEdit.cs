using System.Buffers;
using System.Runtime.InteropServices;
using Hotpot.Store.Layout;

namespace Hotpot.Store.Index;

/// <summary>
/// What one commit will change in a stripe. Changes are made to copies of pages and become visible, to this process too, only with the commit; until then the copies
/// show the operation its own changes. Used under the stripe's exclusive lock, by one thread.
/// </summary>
internal sealed unsafe class StripeEdit(byte* stripe, StripeLayout layout) : IDisposable
{
    private readonly Dictionary<int, Page> _pages = [];
    private readonly List<ByteWrite> _runs = [];

    private sealed class Page
    {
        public required byte[] Bytes { get; init; }

        public List<(int From, int To)> Changed { get; } = [];
    }

    public StripeLayout Layout => layout;

    public bool IsEmpty => _pages.Count == 0 && _runs.Count == 0;

    /// <summary>Bytes inside one page, as this edit leaves them.</summary>
    public ReadOnlySpan<byte> Read(int place, int length)
    {
        (int page, int at) = Math.DivRem(place, StripeLayout.PageBytes);
        return _pages.TryGetValue(page, out Page? changed) ? changed.Bytes.AsSpan(at, length) : new ReadOnlySpan<byte>(stripe + place, length);
    }

    /// <summary>Bytes inside one page, to be changed, all of them.</summary>
    public Span<byte> Change(int place, int length)
    {
        (int number, int at) = Math.DivRem(place, StripeLayout.PageBytes);
        ref Page? page = ref CollectionsMarshal.GetValueRefOrAddDefault(_pages, number, out _);
        if (page is null)
        {
            page = new Page { Bytes = ArrayPool<byte>.Shared.Rent(StripeLayout.PageBytes) };
            new ReadOnlySpan<byte>(stripe + (long)number * StripeLayout.PageBytes, StripeLayout.PageBytes).CopyTo(page.Bytes);
        }
        page.Changed.Add((at, at + length));
        return page.Bytes.AsSpan(at, length);
    }

    public T Read<T>(int place)
        where T : unmanaged => MemoryMarshal.Read<T>(Read(place, sizeof(T)));

    public void Set<T>(int place, T value)
        where T : unmanaged => MemoryMarshal.Write(Change(place, sizeof(T)), in value);

    /// <summary>A block: in its slot, or in pages of its own.</summary>
    /// <param name="block">Must not change until the edit has been committed.</param>
    public void ChangeBlock(int place, ReadOnlyMemory<byte> block)
    {
        // The first page always goes through a copy, where the key of the block can be found.
        int head = Math.Min(block.Length, StripeLayout.PageBytes - place % StripeLayout.PageBytes);
        block.Span[..head].CopyTo(Change(place, head));
        if (head < block.Length)
            _runs.Add(new ByteWrite(place + head, block[head..]));
    }

    public ReadOnlySpan<byte> KeyAt(int place) => Read(place + BlockHeader.Bytes, Read<BlockHeader>(place).KeyBytes);

    /// <summary>All of it, in the dataset's offsets. Valid until the edit is disposed.</summary>
    public List<ByteWrite> Writes(long stripeOffset)
    {
        List<ByteWrite> writes = [];
        foreach ((int number, Page page) in _pages)
        {
            long start = stripeOffset + (long)number * StripeLayout.PageBytes;
            page.Changed.Sort();
            (int from, int to) = page.Changed[0];
            foreach ((int nextFrom, int nextTo) in page.Changed)
            {
                if (nextFrom > to)
                {
                    writes.Add(new ByteWrite(start + from, page.Bytes.AsMemory(from, to - from)));
                    from = nextFrom;
                }
                to = Math.Max(to, nextTo);
            }
            writes.Add(new ByteWrite(start + from, page.Bytes.AsMemory(from, to - from)));
        }
        writes.AddRange(_runs.Select(run => run with { Offset = stripeOffset + run.Offset }));
        return writes;
    }

    public void Dispose()
    {
        foreach (Page page in _pages.Values)
            ArrayPool<byte>.Shared.Return(page.Bytes);
        _pages.Clear();
    }
}
