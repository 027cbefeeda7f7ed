using System.Buffers.Binary;

namespace Hotpot.Grains.Dataset;

/// <summary>Numbers as LEB128, one after the other.</summary>
internal sealed class Leb128Writer
{
    private readonly MemoryStream _bytes = new();

    public void Put(ulong value)
    {
        for (; value >= 0x80; value >>= 7)
            _bytes.WriteByte((byte)(value | 0x80));
        _bytes.WriteByte((byte)value);
    }

    public void PutFixed(ulong value)
    {
        Span<byte> bytes = stackalloc byte[sizeof(ulong)];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
        _bytes.Write(bytes);
    }

    public byte[] ToArray() => _bytes.ToArray();
}

/// <summary>Reads what <see cref="Leb128Writer"/> wrote; throws <see cref="InvalidDataException"/> for anything else.</summary>
internal ref struct Leb128Reader(ReadOnlySpan<byte> bytes)
{
    private ReadOnlySpan<byte> _rest = bytes;

    public ulong Take()
    {
        ulong value = 0;
        for (int shift = 0; shift < 64; shift += 7)
        {
            byte next = TakeBytes(1)[0];
            value |= (ulong)(next & 0x7f) << shift;
            if (next < 0x80)
                return value;
        }
        throw new InvalidDataException("The stored chunk map holds a number longer than 64 bits; restore the grain storage.");
    }

    public int TakeCount(int max)
    {
        ulong value = Take();
        return value <= (ulong)max
            ? (int)value
            : throw new InvalidDataException($"The stored chunk map holds {value} where at most {max} is possible; restore the grain storage.");
    }

    public ulong TakeFixed() => BinaryPrimitives.ReadUInt64LittleEndian(TakeBytes(sizeof(ulong)));

    public readonly void ExpectEnd()
    {
        if (!_rest.IsEmpty)
            throw new InvalidDataException($"The stored chunk map is followed by {_rest.Length} bytes; restore the grain storage.");
    }

    private ReadOnlySpan<byte> TakeBytes(int count)
    {
        if (_rest.Length < count)
            throw new InvalidDataException("The stored chunk map ends too early; restore the grain storage.");
        ReadOnlySpan<byte> taken = _rest[..count];
        _rest = _rest[count..];
        return taken;
    }
}
