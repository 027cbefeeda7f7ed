using System.Diagnostics;
using System.Runtime.InteropServices;
using Hotpot.Clients;
using Hotpot.Demo.Node;

namespace Hotpot.Demo.Measuring;

/// <summary>What a load costs: of a page that is here, and of one that is not.</summary>
internal static unsafe class MemoryMeasurements
{
    // A round takes some milliseconds: long against the clock's resolution, and short enough that most rounds are not interrupted.
    private const int LoadCount = 1 << 19;

    // The median of the rounds counts; an odd number has one.
    private const int Rounds = 9;

    // The seeds are fixed, so that two runs touch the same places in the same order.
    private const int Seed = 12;

    /// <summary>Random loads over the first bytes of the mapping, all of them present, and over the same amount of ordinary memory.</summary>
    public static LoadMeasurement Loads(Mapping mapping, long bytes)
    {
        var ordinary = NativeMemory.AllocZeroed((nuint)bytes);
        try
        {
            new Span<byte>(ordinary, checked((int)bytes)).Fill(1);
            var mapped = (ulong*)mapping.Pointer<byte>(0);
            var words = (uint)(bytes / sizeof(ulong));
            return new LoadMeasurement { MappedNs = MedianNs(mapped, words), OrdinaryNs = MedianNs((ulong*)ordinary, words) };
        }
        finally
        {
            NativeMemory.Free(ordinary);
        }
    }

    /// <summary>The bytes of a dataset in which every page begins with its number, counted from one.</summary>
    public static byte[] NumberedPages(long bytes)
    {
        var pages = new byte[bytes];
        for (var page = 0; page < bytes / Limits.PageBytes; page++)
            MemoryMarshal.Write(pages.AsSpan(page * Limits.PageBytes), (ulong)page + 1);
        return pages;
    }

    /// <summary>Touches pages that are not here, each once and in random order, and checks that the right bytes came.</summary>
    public static double MedianMissUs(Mapping mapping, int touches)
    {
        var pages = Enumerable.Range(0, (int)(mapping.Size / Limits.PageBytes)).ToArray();
        new Random(Seed).Shuffle(pages);
        var ticks = new long[Math.Min(touches, pages.Length)];
        var start = mapping.Pointer<byte>(0);
        for (var touch = 0; touch < ticks.Length; touch++)
        {
            var place = (ulong*)(start + ((long)pages[touch] * Limits.PageBytes));
            var before = Stopwatch.GetTimestamp();
            var found = Volatile.Read(ref *place);
            ticks[touch] = Stopwatch.GetTimestamp() - before;
            if (found != (ulong)pages[touch] + 1)
                throw new InvalidDataException($"Page {pages[touch]} begins with {found} instead of its number.");
        }

        return Median.MicrosecondsOf(ticks);
    }

    private static double MedianNs(ulong* memory, uint words)
    {
        // The first round is not counted: it brings pages and caches into the state that the others measure.
        NsForEachLoad(memory, words);
        var rounds = new double[Rounds];
        for (var round = 0; round < rounds.Length; round++)
            rounds[round] = NsForEachLoad(memory, words);
        Array.Sort(rounds);
        return rounds[rounds.Length / 2];
    }

    private static double NsForEachLoad(ulong* memory, uint words)
    {
        // A multiplicative generator whose upper half scales to an index: two multiplications for each load, and no division.
        ulong state = Seed, sum = 0;
        var started = Stopwatch.GetTimestamp();
        for (var load = 0; load < LoadCount; load++)
        {
            state = (state * 6364136223846793005) + 1442695040888963407;
            sum += memory[(uint)(((state >> 32) * words) >> 32)];
        }

        var elapsed = Stopwatch.GetElapsedTime(started);
        // The sum is used, so the loads cannot be left out.
        GC.KeepAlive(sum);
        return elapsed.TotalNanoseconds / LoadCount;
    }
}
