using System.Buffers.Binary;
using System.Diagnostics;
using System.Runtime.CompilerServices;
using Hotpot.Bench.Harness;
using Hotpot.Bench.Node;

namespace Hotpot.Bench.Benches.Load;

/// <summary>Where records of 1 KiB come from. A structure, so that the loop below is compiled for each source by itself, with nothing virtual in it.</summary>
internal interface IRecordSource : IDisposable
{
    int Records { get; }

    void Copy(int record, Span<byte> to);
}

/// <summary>Copies random records into one buffer. The order of records is the same for every source.</summary>
/// <remarks>
/// One copy takes hardly longer than two looks at the clock, so a sample is the mean of <see cref="Batch"/> copies. Each copy's first word is checked.
/// </remarks>
internal sealed class RecordLoads<TSource>(TSource source) : IWorkload
    where TSource : struct, IRecordSource
{
    private readonly TSource _source = source;

    // The generator's state goes on from turn to turn. Written by RunAsync.
    private ulong _random = 0x2545F4914F6CDD1D;

    public Task<Turn> RunAsync(int operations, TimeSpan limit) => Task.FromResult(Run(operations, (long)(limit.TotalSeconds * Stopwatch.Frequency)));

    public ValueTask DisposeAsync()
    {
        _source.Dispose();
        return ValueTask.CompletedTask;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private Turn Run(int operations, long limit)
    {
        Span<byte> buffer = stackalloc byte[RecordLoads.RecordBytes];
        var samples = new List<double>(operations / RecordLoads.Batch);
        var random = _random;
        var records = (ulong)_source.Records;
        ulong wrong = 0;
        var begin = Stopwatch.GetTimestamp();
        var last = begin;
        while (samples.Count < operations / RecordLoads.Batch && last - begin < limit)
        {
            for (var i = 0; i < RecordLoads.Batch; i++)
            {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                var record = (int)((random >> 32) * records >> 32);
                _source.Copy(record, buffer);
                wrong |= BinaryPrimitives.ReadUInt64LittleEndian(buffer) ^ Pattern.WordAt((long)record * RecordLoads.RecordBytes);
            }

            var now = Stopwatch.GetTimestamp();
            samples.Add(Samples.Microseconds(now - last) / RecordLoads.Batch);
            last = now;
        }

        _random = random;
        if (wrong != 0)
            throw new IOException($"{typeof(TSource).Name} gave bytes that are not the record's.");
        return new Turn { Us = [.. samples], Operations = (long)samples.Count * RecordLoads.Batch, Seconds = Stopwatch.GetElapsedTime(begin, last).TotalSeconds };
    }
}

internal static class RecordLoads
{
    public const int RecordBytes = 1024;

    public const int Batch = 64;
}
