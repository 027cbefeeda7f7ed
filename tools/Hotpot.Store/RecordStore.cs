using System.Buffers;
using System.Collections.Concurrent;
using Hotpot.Clients;
using Hotpot.Store.Index;
using Hotpot.Store.Layout;
using Hotpot.Store.Memory;

namespace Hotpot.Store;

// A record store on distributed shared persistent memory, small enough to be read in one sitting: what other storage systems do with a file, a page cache, a write-ahead log and
// a replication protocol is here done with loads and atomic commits.
//
// Shape. The dataset is cut into stripes, one chunk each, and a key's hash says which stripe it belongs to. A stripe is a store of its own: a page table, an allocator
// of slots (StripeSpace), a hash index (Bucket), a B-link tree for scans (StripeTree), records. References are offsets. A dataset of zeros is an empty store.
//
// Read. Every node maps the dataset for loads only and reads by plain loads: key -> bucket -> record, two cache misses, no lock, no call. What a reader may meet is a commit that is
// being applied under its eyes: some pages or bytes old, others new. So nothing is believed because of where it lies: an offset is checked before it is followed, every block
// (record or tree node) carries a checksum of all its bytes, and what was copied out is checked, not what is there now. What does not fit is read again; a commit
// is applied in microseconds. Because the mapping is read-only no reader sees what is not committed, and no page hides other nodes' commits behind uncommitted stores
// of this node (docs/consistency.md, points 1 and 4). What a writer was told is there, every later read on every node finds (point 2); while a commit is
// under way some nodes may show it already and others not yet.
//
// Write. Changes are made in copies of pages (StripeEdit) and committed as explicit bytes: one transaction over all places that an operation changes, so a crash anywhere leaves all
// of it or nothing (point 3). All places lie in one chunk, so there is one owner, and the commit takes the shortest way there is. Two cases:
//
//   replace a value where it lies      shared lock    one range in one page; the index is not touched. Several nodes may do this at once, to the same record too: each commit is
//                                                     a whole block, and the owner's order of commits is the order of the values
//   insert, delete, move, split        exclusive      reads the state, plans against it, commits. Nobody else changes the stripe's structure meanwhile, so nothing that was read can
//                                                     have changed when the commit is applied
//
// "The last commit wins" (point 5) is therefore never a lost update of structure: between reading and committing, the lock holds off everybody whose commit could matter. A
// reading writer needs no conflict detection, and no commit is ever repeated because of another. The price: nodes that insert into the same stripe in turns pay for
// handing over its lock, a few calls; stripes are many, insertions of one node in a row cost nothing extra, and those that wait in one process go together (ChangeQueue). Locks are
// grants (StripeLock).
//
// What several threads change at one owner at the same time travels in one transaction (CommitQueue): under load a commit's messages are shared by all of them.
//
// Space. Blocks lie in slots of 15 sizes, or in pages of their own when they are large. A freed block loses its checksum in the commit that frees it, so a reader who comes with an
// old reference finds a block that does not fit, or another key, and looks again; therefore slots can be used again at once, without epochs or hazard pointers.
//
// Crash. There is no recovery code here. A node that dies in the middle of a commit leaves it to Hotpot's recovery, which makes it happen whole or not at all; its locks end with it,
// and are granted to others only after its commits are no longer heard. What is kept outside the dataset (where to look for room first) is only a hint.
//
// What can still go wrong: a commit that ends with OutcomeUnknownException keeps its stripe locked until this process ends (StripeLock). A stripe that is full refuses insertions even while
// others have room. A store does not grow.

/// <summary>A record of a scan. The spans are valid during the call only.</summary>
public delegate void RecordVisitor(ReadOnlySpan<byte> key, ReadOnlySpan<byte> value);

/// <summary>
/// Records by key in a dataset, durable on several nodes, open in as many processes as wanted. Safe for concurrent use. Reads never wait; what a call has
/// acknowledged, every later read on every node sees.
/// </summary>
public sealed class RecordStore : IDisposable
{
    public const int KeyBytesMax = byte.MaxValue;

    /// <summary>Of one commit while many records are written: large enough to make its round trip cheap for each record, well below a commit's limit.</summary>
    private const int BatchBytes = 4 << 20;

    /// <summary>"HPSTORE" and the version of everything in Layout and Index.</summary>
    private const ulong Format = 0x01_45_52_4F_54_53_50_48;

    private readonly IStoreMemory _memory;
    private readonly StripeLayout _layout;
    private readonly Stripe[] _stripes;
    private readonly CommitQueue _commits;
    private readonly ConcurrentBag<OrderedMerge> _merges = [];

    internal RecordStore(IStoreMemory memory)
    {
        _memory = memory;
        _commits = new CommitQueue(memory);
        _layout = new StripeLayout(memory.ChunkBytes);
        _stripes = [.. Enumerable.Range(0, checked((int)(memory.Bytes / memory.ChunkBytes))).Select(index => new Stripe(memory, _layout, index, ChangeAsync))];
    }

    /// <summary>One stripe as this process uses it.</summary>
    private sealed unsafe class Stripe
    {
        private readonly byte* _base;
        private readonly StripeLayout _layout;

        public Stripe(IStoreMemory memory, StripeLayout layout, int index, Func<Stripe, Action<StripeEdit>, Task> change)
        {
            _layout = layout;
            Offset = (long)index * layout.Bytes;
            _base = memory.Base + Offset;
            Lock = new StripeLock(memory, new ByteRange(Offset + StripeLayout.LockOffset, StripeLayout.PageBytes));
            Space = new StripeSpace(layout);
            Changes = new ChangeQueue(edit => change(this, edit));
        }

        public long Offset { get; }

        public StripeLock Lock { get; }

        public StripeSpace Space { get; }

        public ChangeQueue Changes { get; }

        public StripeReader Reader => new(_base, _layout);

        public StripeEdit Edit() => new(_base, _layout);
    }

    /// <summary>Creates the dataset and opens the store in this process.</summary>
    public static async Task<RecordStore> CreateAsync(IHotpot hotpot, string name, StoreOptions options, CommitOptions? commit = null)
    {
        ArgumentNullException.ThrowIfNull(hotpot);
        Dataset dataset = await hotpot.CreateDatasetAsync(
            name, options.Stripes * options.StripeBytes, new DatasetOptions { Degree = options.Degree, ChunkBytes = options.StripeBytes }).ConfigureAwait(false);
        byte[] format = BitConverter.GetBytes(Format);
        await dataset.WriteAsync(StripeLayout.FormatOffset, format, commit).ConfigureAwait(false);
        return new RecordStore(new DatasetMemory(dataset, commit ?? CommitOptions.Default));
    }

    /// <summary>Opens a store that exists; this process must run a silo.</summary>
    /// <param name="commit">How changes are committed: the degree they must reach and how long they may take.</param>
    public static async Task<RecordStore> OpenAsync(IHotpot hotpot, string name, CommitOptions? commit = null)
    {
        ArgumentNullException.ThrowIfNull(hotpot);
        Dataset dataset = await hotpot.OpenAsync(name).ConfigureAwait(false);
        byte[] format = await dataset.ReadAsync(StripeLayout.FormatOffset, sizeof(ulong)).ConfigureAwait(false);
        if (BitConverter.ToUInt64(format) != Format)
            throw new StoreCorruptException($"Dataset '{name}' holds no store of this version; give the name of one, or create it.");
        return new RecordStore(new DatasetMemory(dataset, commit ?? CommitOptions.Default));
    }

    public int Stripes => _stripes.Length;

    /// <summary>The longest value that a key of so many bytes can have.</summary>
    public int ValueBytesMax(int keyBytes) => _layout.BlockBytesMax - BlockHeader.Bytes - keyBytes;

    /// <summary>Copies a value; false: there is no such record.</summary>
    /// <param name="length">Of the value. When it is more than the destination has, nothing of use was copied.</param>
    public bool TryRead(ReadOnlySpan<byte> key, Span<byte> destination, out int length)
    {
        KeyHash hash = KeyHash.Of(key);
        StripeReader reader = StripeOf(hash).Reader;
        Patience patience = new();
        while (true)
        {
            switch (reader.TryRead(hash, key, destination, out length))
            {
                case ReadOutcome.Found or ReadOutcome.TooLong:
                    return true;
                case ReadOutcome.Absent:
                    return false;
            }
            patience.Wait("A record of the store");
        }
    }

    /// <summary>The value; null: there is no such record.</summary>
    public byte[]? Read(ReadOnlySpan<byte> key)
    {
        byte[] buffer = ArrayPool<byte>.Shared.Rent(StripeLayout.PageBytes);
        try
        {
            bool found;
            int length;
            while ((found = TryRead(key, buffer, out length)) && length > buffer.Length)
                buffer = Larger(buffer, length);
            return found ? buffer.AsSpan(0, length).ToArray() : null;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    public bool Contains(ReadOnlySpan<byte> key) => TryRead(key, [], out _);

    /// <summary>Calls for each record in the order of keys, byte by byte, beginning with the first that is not below; returns how many there were.</summary>
    public int Scan(ReadOnlySpan<byte> from, int limit, RecordVisitor visit)
    {
        ArgumentNullException.ThrowIfNull(visit);
        if (!_merges.TryTake(out OrderedMerge? merge))
            merge = new OrderedMerge(_stripes.Length);
        byte[] buffer = ArrayPool<byte>.Shared.Rent(StripeLayout.PageBytes);
        try
        {
            int count = 0;
            for (merge.Seek(stripe => _stripes[stripe].Reader, from); count < limit && !merge.IsAtEnd; merge.MoveNext())
            {
                ReadOnlySpan<byte> key = merge.Current.Key;
                if (!TryReadAt(merge.Current, key, ref buffer, out int length))
                    continue;
                visit(key, buffer.AsSpan(0, length));
                count++;
            }
            return count;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
            _merges.Add(merge);
        }
    }

    /// <summary>Inserts a record, or replaces its value.</summary>
    /// <exception cref="StoreFullException">There is no room; nothing was changed.</exception>
    /// <inheritdoc cref="Dataset.WriteAsync(IReadOnlyList{ByteWrite}, CommitOptions?, CancellationToken)" path="/exception"/>
    public async Task PutAsync(ReadOnlyMemory<byte> key, ReadOnlyMemory<byte> value)
    {
        Check(key, value);
        KeyHash hash = KeyHash.Of(key.Span);
        Stripe stripe = StripeOf(hash);
        if (Contains(key.Span) && await TryReplaceAsync(stripe, hash, key, value).ConfigureAwait(false))
            return;
        await stripe.Changes.AddAsync(key.Length + value.Length, edit => StripeWriter.Put(edit, stripe.Space, hash, key.Span, value.Span)).ConfigureAwait(false);
    }

    /// <summary>Writes many records with few commits. Each commit is whole or not there; an exception tells that a first part may be there.</summary>
    /// <inheritdoc cref="PutAsync" path="/exception"/>
    public async Task PutManyAsync(IEnumerable<KeyValuePair<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>>> records)
    {
        foreach (var group in records.GroupBy(record => StripeOf(KeyHash.Of(record.Key.Span))))
        {
            Stripe stripe = group.Key;
            Queue<KeyValuePair<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>>> left = new(group);
            while (left.Count > 0)
            {
                await ChangeAsync(stripe, edit =>
                {
                    for (int bytes = 0; bytes < BatchBytes && left.TryDequeue(out var record); bytes += record.Value.Length)
                    {
                        Check(record.Key, record.Value);
                        StripeWriter.Put(edit, stripe.Space, KeyHash.Of(record.Key.Span), record.Key.Span, record.Value.Span);
                    }
                }).ConfigureAwait(false);
            }
        }
    }

    /// <summary>False: there was no such record.</summary>
    /// <inheritdoc cref="PutAsync" path="/exception"/>
    public async Task<bool> DeleteAsync(ReadOnlyMemory<byte> key)
    {
        KeyHash hash = KeyHash.Of(key.Span);
        Stripe stripe = StripeOf(hash);
        bool found = false;
        await stripe.Changes.AddAsync(key.Length, edit => found = StripeWriter.Delete(edit, stripe.Space, hash, key.Span)).ConfigureAwait(false);
        return found;
    }

    /// <summary>Looks at every page and finds out whether all of it fits together. Nobody may change the store meanwhile; readers may go on.</summary>
    /// <exception cref="StoreCorruptException">It does not; the message says where.</exception>
    public StoreStatistics Check()
    {
        StoreStatistics all = new();
        foreach (Stripe stripe in _stripes)
        {
            using StripeEdit edit = stripe.Edit();
            all += new StripeCheck(edit).Run();
        }
        return all;
    }

    public void Dispose() => _memory.Dispose();

    private Stripe StripeOf(KeyHash hash) => _stripes[hash.Stripe(_stripes.Length)];

    /// <summary>A new value of an existing record, where the old one lies. False: it is not there any more, or the new value is longer than its slot.</summary>
    private async Task<bool> TryReplaceAsync(Stripe stripe, KeyHash hash, ReadOnlyMemory<byte> key, ReadOnlyMemory<byte> value)
    {
        await stripe.Lock.EnterAsync(isExclusive: false).ConfigureAwait(false);
        try
        {
            int bytes = BlockHeader.Bytes + key.Length + value.Length;
            if (!stripe.Reader.TryFind(hash, key.Span, out int place) || stripe.Reader.CapacityAt(place) < bytes)
                return false;
            byte[] block = ArrayPool<byte>.Shared.Rent(bytes);
            BlockHeader.Build(block.AsSpan(0, bytes), BlockKind.Record, key.Span, value.Span);
            await CommitAsync(stripe, [new ByteWrite(stripe.Offset + place, block.AsMemory(0, bytes))]).ConfigureAwait(false);
            ArrayPool<byte>.Shared.Return(block);
            return true;
        }
        finally
        {
            await stripe.Lock.ExitAsync().ConfigureAwait(false);
        }
    }

    private async Task ChangeAsync(Stripe stripe, Action<StripeEdit> change)
    {
        await stripe.Lock.EnterAsync(isExclusive: true).ConfigureAwait(false);
        try
        {
            using StripeEdit edit = stripe.Edit();
            change(edit);
            if (!edit.IsEmpty)
                await CommitAsync(stripe, edit.Writes(stripe.Offset)).ConfigureAwait(false);
        }
        finally
        {
            await stripe.Lock.ExitAsync().ConfigureAwait(false);
        }
    }

    // Not to be cancelled: a commit that has begun ends with an outcome.
    private async Task CommitAsync(Stripe stripe, IReadOnlyList<ByteWrite> writes)
    {
        try
        {
            await _commits.CommitAsync(writes).ConfigureAwait(false);
        }
        catch (OutcomeUnknownException unknown)
        {
            stripe.Lock.KeepForEver(unknown);
            throw;
        }
    }

    /// <summary>A record that the ordered index leads to; false: it has been deleted since.</summary>
    private bool TryReadAt(StripeCursor cursor, ReadOnlySpan<byte> key, ref byte[] buffer, out int length)
    {
        ReadOutcome outcome = cursor.Reader.TryReadRecord(cursor.Record, key, buffer, out length);
        if (outcome == ReadOutcome.Found)
            return true;
        // It moved, or a commit is just being applied: the hash index knows where it is now.
        bool found;
        while ((found = TryRead(key, buffer, out length)) && length > buffer.Length)
            buffer = Larger(buffer, length);
        return found;
    }

    private static byte[] Larger(byte[] buffer, int length)
    {
        ArrayPool<byte>.Shared.Return(buffer);
        return ArrayPool<byte>.Shared.Rent(length);
    }

    private void Check(ReadOnlyMemory<byte> key, ReadOnlyMemory<byte> value)
    {
        if (key.Length is 0 or > KeyBytesMax)
            throw new InvalidRequestException($"A key of {key.Length} bytes is not possible; give 1 to {KeyBytesMax} bytes.");
        if (value.Length > ValueBytesMax(key.Length))
            throw new InvalidRequestException($"A value of {value.Length} bytes does not fit this store, which takes {ValueBytesMax(key.Length)}; choose larger stripes when it is created.");
    }
}
