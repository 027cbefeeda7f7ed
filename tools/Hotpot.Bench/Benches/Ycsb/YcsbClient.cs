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
    /// <summary>At least as many as a node has clients.</summary>
    private const long Slack = 64;

    // Changed by Interlocked only.
    private long _inserted;

    public Zipfian Popular { get; } = new(loaded);

    public long NextInsert() => firstInserted + (Interlocked.Increment(ref _inserted) - 1) * nodes + node;

    /// <summary>A popular record is anywhere in the key space.</summary>
    public long Scrambled(Random random) => (long)(YcsbKeys.Hash(Popular.Next(random)) % (ulong)loaded);

    /// <summary>The younger a record, the more popular.</summary>
    public long Latest(Random random)
    {
        // The last few may not be acknowledged yet.
        var acknowledged = Math.Max(0, Interlocked.Read(ref _inserted) - Slack);
        var back = Popular.Next(random);
        return back < acknowledged ? firstInserted + (acknowledged - 1 - back) * nodes + node : Math.Max(0, loaded - 1 - (back - acknowledged));
    }
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
            throw new InvalidOperationException($"Record {number} was read wrongly or not at all ({length} bytes); the store that is measured is defective.");
    }

    private Task UpdateAsync(long number)
    {
        YcsbKeys.Fill(_value, number, _random);
        return store.UpdateAsync(YcsbKeys.Of(number), _value);
    }
}
