using System.Diagnostics;
using Hotpot.Bench.Harness;
using Hotpot.Bench.Node;
using Hotpot.Clients;

namespace Hotpot.Bench.Benches.Scan;

/// <summary>How a program reads a range from its beginning to its end.</summary>
internal enum ScanMode
{
    /// <summary>By plain loads; the engine reads ahead.</summary>
    Loads,

    /// <summary>By plain loads behind calls that ask for the next piece while this one is read.</summary>
    Prefetch,

    /// <summary>By explicit reads into two buffers; the next piece is read while this one is used.</summary>
    Read,
}

/// <summary>Adds up all words of a dataset, part by part, each part once; a turn takes the next part. An operation is a MiB.</summary>
internal sealed class SequentialScan : IWorkload
{
    public const string Kind = "scan";

    private const int PieceBytes = 4 << 20;

    private readonly Dataset _dataset;
    private readonly Mapping _mapping;
    private readonly ScanMode _mode;

    // Where the next turn begins. Written by RunAsync.
    private long _next;

    private SequentialScan(Dataset dataset, Mapping mapping, ScanMode mode)
    {
        _dataset = dataset;
        _mapping = mapping;
        _mode = mode;
    }

    public static async Task<IWorkload> CreateAsync(WorkloadContext context)
    {
        var dataset = await context.Hotpot.OpenAsync(context.Spec["dataset"]);
        return new SequentialScan(dataset, dataset.Map(MapAccess.ReadOnly), Enum.Parse<ScanMode>(context.Spec["mode"]));
    }

    public static WorkloadSpec Spec(string dataset, ScanMode mode) => new() { Kind = Kind, Parameters = { ["dataset"] = dataset, ["mode"] = mode.ToString() } };

    public async Task<Turn> RunAsync(int operations, TimeSpan limit)
    {
        var (first, length) = (_next, (long)operations << 20);
        if (length > _dataset.Size - first)
            throw new IOException($"Only {(_dataset.Size - first) >> 20} MiB are left that were not read; {operations} are wanted.");
        _next += length;
        var begin = Stopwatch.GetTimestamp();
        var sum = _mode switch
        {
            ScanMode.Loads => SumByLoads(first, length),
            ScanMode.Prefetch => await SumBehindPrefetchAsync(first, length),
            _ => await SumByReadsAsync(first, length),
        };
        var seconds = Stopwatch.GetElapsedTime(begin).TotalSeconds;
        if (sum != Pattern.SumOf(first, length))
            throw new IOException($"The {length} bytes at {first} are not those that were committed.");
        return new Turn { Us = [], Operations = operations, Seconds = seconds };
    }

    public ValueTask DisposeAsync()
    {
        _mapping.Dispose();
        return ValueTask.CompletedTask;
    }

    private unsafe ulong SumByLoads(long first, long length)
    {
        ulong sum = 0;
        for (var offset = first; offset < first + length; offset += PieceBytes)
        {
            // Not GetReadOnlySpan, which would prefetch a piece of this size.
            ref readonly var start = ref _mapping.ReadOnlyRef<byte>(offset);
            fixed (byte* pointer = &start)
                sum += Pattern.Sum(new ReadOnlySpan<byte>(pointer, PieceBytes));
        }

        return sum;
    }

    private async Task<ulong> SumBehindPrefetchAsync(long first, long length)
    {
        ulong sum = 0;
        var coming = _dataset.PrefetchAsync(new ByteRange(first, PieceBytes));
        for (var offset = first; offset < first + length; offset += PieceBytes)
        {
            await coming;
            if (offset + PieceBytes < first + length)
                coming = _dataset.PrefetchAsync(new ByteRange(offset + PieceBytes, PieceBytes));
            sum += SumByLoads(offset, PieceBytes);
        }

        return sum;
    }

    private async Task<ulong> SumByReadsAsync(long first, long length)
    {
        ulong sum = 0;
        byte[] filling = GC.AllocateUninitializedArray<byte>(PieceBytes), full = GC.AllocateUninitializedArray<byte>(PieceBytes);
        var coming = _dataset.ReadAsync(first, filling);
        for (var offset = first; offset < first + length; offset += PieceBytes)
        {
            await coming;
            (filling, full) = (full, filling);
            if (offset + PieceBytes < first + length)
                coming = _dataset.ReadAsync(offset + PieceBytes, filling);
            sum += Pattern.Sum(full);
        }

        return sum;
    }
}
