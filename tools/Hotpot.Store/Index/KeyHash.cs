using Hotpot.Store.Layout;

namespace Hotpot.Store.Index;

/// <summary>Where a key belongs. Stored entries depend on it, so it never changes.</summary>
internal readonly struct KeyHash(ulong value)
{
    private const ulong Seed = 0x486F74706F74;

    public static KeyHash Of(ReadOnlySpan<byte> key) => new(Checksum.Of(Seed, key));

    /// <summary>From the upper half, so that it says nothing about the bucket.</summary>
    public int Stripe(int stripes) => (int)((value >> 32) * (ulong)stripes >> 32);

    public int Bucket(int buckets) => (int)(value >> 1) & (buckets - 1);

    /// <summary>Part of each entry, so that nearly every entry that is followed is the right one.</summary>
    public ushort Tag => (ushort)((value >> 20) ^ (value >> 44));
}
