using System.Numerics;
using System.Runtime.InteropServices;

namespace Hotpot.Bench.Node;

/// <summary>What the datasets are filled with: a word tells its place, so that a benchmark notices bytes that are not the right ones. The UCX pair sends the same.</summary>
internal static class Pattern
{
    private const ulong Multiplier = 0x9E3779B97F4A7C15;

    /// <summary>The word at a place of the dataset; no word, and so no page, is zero in a dataset of less than 2^64 bytes.</summary>
    /// <param name="offset">Bytes, a multiple of eight.</param>
    public static ulong WordAt(long offset) => ((ulong)offset / sizeof(ulong) + 1) * Multiplier;

    public static void Fill(Span<byte> bytes, long offset)
    {
        var words = MemoryMarshal.Cast<byte, ulong>(bytes);
        for (var i = 0; i < words.Length; i++)
            words[i] = WordAt(offset + i * sizeof(ulong));
    }

    /// <summary>The sum of all words of the range, without looking at them.</summary>
    public static ulong SumOf(long offset, long length)
    {
        UInt128 first = (ulong)offset / sizeof(ulong) + 1;
        UInt128 count = (ulong)length / sizeof(ulong);
        return unchecked((ulong)(first * count + count * (count - (count == 0 ? 0u : 1u)) / 2) * Multiplier);
    }

    /// <summary>The sum of all words.</summary>
    public static ulong Sum(ReadOnlySpan<byte> bytes)
    {
        var sums = Vector<ulong>.Zero;
        var vectors = MemoryMarshal.Cast<byte, Vector<ulong>>(bytes);
        foreach (ref readonly var vector in vectors)
            sums += vector;
        var sum = Vector.Sum(sums);
        foreach (var word in MemoryMarshal.Cast<byte, ulong>(bytes[(vectors.Length * Vector<byte>.Count)..]))
            sum += word;
        return sum;
    }
}
