using System.Diagnostics;

namespace Hotpot.Bench.Benches.Ycsb;

/// <summary>What one client did in one turn.</summary>
internal sealed record YcsbCounts
{
    public long Operations { get; set; }

    /// <summary>Microseconds of sampled operations that only read, and of all others.</summary>
    public List<double> ReadUs { get; } = [];

    public List<double> WriteUs { get; } = [];
}

/// <summary>Which records a node's clients choose from: those loaded, and those that this node has inserted.</summary>
/// <param name="firstInserted">The number of the first record that is inserted: not one that another mix has inserted before.</param>
internal sealed class YcsbRecords(long loaded, int nodes, int node, long firstInserted)
{
    private readonly Lock _lock = new();

    // Inserted by this node and acknowledged, but not yet all before them. Written under _lock.
    private readonly HashSet<long> _early = [];

    // The first _acknowledged of this node's records are there. Written under _lock.
    private long _acknowledged;

    // Changed by Interlocked only.
    private long _inserted;

    public Zipfian Popular { get; } = new(loaded);

    public long NextInsert() => Number(Interlocked.Increment(ref _inserted) - 1);

    /// <summary>From now on the record may be read.</summary>
    public void Acknowledge(long number)
    {
        lock (_lock)
        {
            _early.Add(number);
            while (_early.Remove(Number(_acknowledged)))
                _acknowledged++;
        }
    }

    /// <summary>A popular record is anywhere in the key space.</summary>
    public long Scrambled(Random random) => (long)(YcsbKeys.Hash(Popular.Next(random)) % (ulong)loaded);

    /// <summary>The younger a record, the more popular.</summary>
    public long Latest(Random random)
    {
        var acknowledged = Interlocked.Read(ref _acknowledged);
        var back = Popular.Next(random);
        return back < acknowledged ? Number(acknowledged - 1 - back) : Math.Max(0, loaded - 1 - (back - acknowledged));
    }

    private long Number(long inserted) => firstInserted + inserted * nodes + node;
}

/// <summary>A closed loop of operations, one after the other.</summary>
internal sealed class YcsbClient(YcsbMix mix, YcsbRecords records, IYcsbStore store, int seed) : IAsyncDisposable
{
    private const int ScanRecordsMax = 100;

    /// <summary>Of so many operations one is timed.</summary>
    private const int SampleEvery = 8;

    private readonly Random _random = new(seed);
    private readonly byte[] _value = new byte[YcsbKeys.ValueBytes];
    private readonly byte[] _buffer = new byte[4096];

    public async Task<YcsbCounts> RunAsync(long operations, TimeSpan limit)
    {
        YcsbCounts counts = new();
        var started = Stopwatch.GetTimestamp();
        while (counts.Operations < operations)
        {
            var isSample = counts.Operations % SampleEvery == 0;
            var begin = isSample ? Stopwatch.GetTimestamp() : 0;
            if (isSample && Stopwatch.GetElapsedTime(started, begin) >= limit)
                break;
            var operation = mix.Next(_random);
            await DoAsync(operation);
            if (isSample)
                (operation is YcsbOperation.Read or YcsbOperation.Scan ? counts.ReadUs : counts.WriteUs).Add(Stopwatch.GetElapsedTime(begin).TotalMicroseconds);
            counts.Operations++;
        }

        return counts;
    }

    public ValueTask DisposeAsync() => store.DisposeAsync();

    private async ValueTask DoAsync(YcsbOperation operation)
    {
        switch (operation)
        {
            case YcsbOperation.Read:
                await ReadAsync(Choose());
                break;
            case YcsbOperation.Update:
                await UpdateAsync(Choose());
                break;
            case YcsbOperation.Insert:
                var inserted = records.NextInsert();
                YcsbKeys.Fill(_value, inserted, _random);
                await store.InsertAsync(YcsbKeys.Of(inserted), _value);
                records.Acknowledge(inserted);
                break;
            case YcsbOperation.Scan:
                await store.ScanAsync(YcsbKeys.Of(Choose()), _random.Next(1, ScanRecordsMax + 1), _buffer);
                break;
            case YcsbOperation.ReadModifyWrite:
                var changed = Choose();
                await ReadAsync(changed);
                await UpdateAsync(changed);
                break;
        }
    }

    private long Choose() => mix.IsLatest ? records.Latest(_random) : records.Scrambled(_random);

    private async ValueTask ReadAsync(long number)
    {
        var length = await store.ReadAsync(YcsbKeys.Of(number), _buffer);
        // A benchmark of wrong answers would be worth nothing.
        if (length is not { } bytes || !YcsbKeys.IsOf(_buffer.AsSpan(0, bytes), number))
            throw new InvalidOperationException($"Record {number} was read wrongly or not at all ({length} bytes) by {store.GetType().Name}; the store that is measured is defective.");
    }

    private Task UpdateAsync(long number)
    {
        YcsbKeys.Fill(_value, number, _random);
        return store.UpdateAsync(YcsbKeys.Of(number), _value);
    }
}
