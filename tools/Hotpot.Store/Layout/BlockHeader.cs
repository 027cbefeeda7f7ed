using System.Runtime.InteropServices;

namespace Hotpot.Store.Layout;

/// <summary>What lies in a slot. A number is never given a second meaning.</summary>
internal enum BlockKind : byte
{
    /// <summary>A slot that holds nothing; its checksum is zero.</summary>
    None = 0,

    /// <summary>A record: key, then value.</summary>
    Record = 1,

    /// <summary>A leaf of the ordered index: references to records.</summary>
    Leaf = 2,

    /// <summary>An inner node of the ordered index: references to nodes.</summary>
    Inner = 3,
}

/// <summary>
/// The first 16 bytes of everything that is stored: a block is believed only when the checksum fits all the rest of it, key and body. Whoever frees a block
/// makes its checksum zero, so a reference that is older than that leads nowhere.
/// </summary>
[StructLayout(LayoutKind.Sequential, Pack = 8, Size = Bytes)]
internal struct BlockHeader
{
    public const int Bytes = 16;

    public ulong Checksum;

    /// <summary>Of the body, without the key.</summary>
    public int BodyBytes;

    public BlockKind Kind;

    public byte KeyBytes;

    public readonly int TotalBytes => Bytes + KeyBytes + BodyBytes;

    /// <summary>Of the header's own fields, of the key and of the body, wherever copies of them lie.</summary>
    public readonly ulong Sum(ReadOnlySpan<byte> key, ReadOnlySpan<byte> body)
    {
        Checksum sum = new((uint)BodyBytes | (ulong)Kind << 32 | (ulong)KeyBytes << 40);
        sum.Add(key);
        sum.Add(body);
        return sum.Value;
    }

    /// <summary>Writes a whole block.</summary>
    public static void Build(Span<byte> block, BlockKind kind, ReadOnlySpan<byte> key, ReadOnlySpan<byte> body)
    {
        BlockHeader header = new() { BodyBytes = body.Length, Kind = kind, KeyBytes = (byte)key.Length };
        header.Checksum = header.Sum(key, body);
        MemoryMarshal.Write(block, in header);
        key.CopyTo(block[Bytes..]);
        body.CopyTo(block[(Bytes + key.Length)..]);
    }
}
