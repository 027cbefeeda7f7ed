namespace Hotpot.Grains;

/// <summary>Bytes for a place in a dataset. They must not change until the write that they are given to has ended.</summary>
public readonly record struct ByteWrite(long Offset, ReadOnlyMemory<byte> Bytes)
{
    public ByteRange Range => new(Offset, Bytes.Length);
}
