using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;

namespace Hotpot.Bench.Benches.Ycsb;

/// <summary>The names and the contents of records.</summary>
internal static class YcsbKeys
{
    public const int KeyBytes = 23;

    /// <summary>Ten fields of 100 bytes, kept as one value.</summary>
    public const int ValueBytes = 1000;

    /// <summary>"user" and the hash of the number, as YCSB's hashed insert order; always the same length.</summary>
    public static byte[] Of(long number) =>
        Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"user{Hash(number) % 10_000_000_000_000_000_000:D19}"));

    /// <summary>Bytes that differ from write to write and that nothing compresses, and that tell which record they belong to.</summary>
    public static void Fill(Span<byte> value, long number, Random random)
    {
        // Making up a value is no work of a store, so it is done at the speed of memory (xorshift).
        var state = (ulong)random.NextInt64() | 1;
        foreach (ref var word in MemoryMarshal.Cast<byte, ulong>(value))
        {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            word = state;
        }

        BitConverter.TryWriteBytes(value, number);
    }

    public static bool IsOf(ReadOnlySpan<byte> value, long number) => value.Length == ValueBytes && BitConverter.ToInt64(value) == number;

    /// <summary>FNV-1a of the eight bytes.</summary>
    public static ulong Hash(long number)
    {
        var hash = 0xCBF29CE484222325;
        for (var i = 0; i < 8; i++)
        {
            hash = (hash ^ ((ulong)number & 0xFF)) * 1099511628211;
            number >>= 8;
        }

        return hash;
    }
}
