using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Hotpot.Store.Layout;

// What makes reads without a lock right: a reader that meets a commit half-way sees bytes of two versions, and these do not fit one checksum.
//
// Four lanes of multiply and rotate, because a load that is checked must cost little more than the copy it belongs to (a CRC's steps wait for each other; these run side by
// side). Each step is a bijection of the word it takes in, so one changed word always changes the result; several cancel out with the odds of 64 bits.
// It is no defence against somebody who wants two contents to have one checksum.

/// <summary>A 64-bit checksum of a sequence of sections; where a section ends counts.</summary>
internal struct Checksum(ulong seed)
{
    private const ulong Odd1 = 0x9E3779B185EBCA87;
    private const ulong Odd2 = 0xC2B2AE3D27D4EB4F;

    private ulong _a = seed ^ Odd1;
    private ulong _b = seed + Odd2;
    private ulong _c = ~seed;
    private ulong _d = seed * Odd1;

    /// <summary>Never zero, which is the checksum of what is free.</summary>
    public readonly ulong Value
    {
        get
        {
            ulong sum = Step(Step(Step(_a, _b), _c), _d);
            sum ^= sum >> 32;
            sum *= Odd2;
            sum ^= sum >> 29;
            return sum | 1;
        }
    }

    public void Add(ulong word) => _a = Step(_a, word);

    public void Add(ReadOnlySpan<byte> bytes)
    {
        Add((ulong)bytes.Length);
        ReadOnlySpan<ulong> words = MemoryMarshal.Cast<byte, ulong>(bytes);
        ReadOnlySpan<byte> tail = bytes[(words.Length * sizeof(ulong))..];
        ulong a = _a, b = _b, c = _c, d = _d;
        int i = 0;
        for (; i + 4 <= words.Length; i += 4)
        {
            a = Step(a, words[i]);
            b = Step(b, words[i + 1]);
            c = Step(c, words[i + 2]);
            d = Step(d, words[i + 3]);
        }
        for (; i < words.Length; i++)
            a = Step(a, words[i]);
        ulong last = 0;
        for (int at = 0; at < tail.Length; at++)
            last |= (ulong)tail[at] << (8 * at);
        _a = Step(a, last);
        _b = b;
        _c = c;
        _d = d;
    }

    public static ulong Of(ulong seed, ReadOnlySpan<byte> bytes)
    {
        Checksum sum = new(seed);
        sum.Add(bytes);
        return sum.Value;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Step(ulong lane, ulong word) => BitOperations.RotateLeft((lane ^ word) * Odd1, 29);
}
