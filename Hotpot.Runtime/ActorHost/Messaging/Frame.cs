using System.Buffers.Binary;
using System.Text;

namespace Hotpot.Actors;

/// <summary>What a frame is. The numbers are the wire format; docs/actor-host.md has the grammar.</summary>
internal enum FrameKind : byte
{
    Hello = 1,
    Welcome = 2,
    Refuse = 3,
    Request = 4,
    Reply = 5,
    Cancel = 6,
    System = 7,
    Leaving = 8,
}

/// <summary>The limits of frames, and the fixed places in them that a forwarding silo changes.</summary>
internal static class Frame
{
    public const int LengthBytes = 4;

    /// <summary>
    /// A remote read carries up to 1 MiB; 16 MiB leaves room for lists of them and bounds what a peer can make this
    /// process allocate.
    /// </summary>
    public const int MaxBytes = 16 * 1024 * 1024;

    /// <summary>Before a peer has introduced itself it may send no more than this.</summary>
    public const int MaxHelloBytes = 4096;

    // Offsets from the kind byte, in requests and replies alike.
    public const int CorrelationAt = 1;
    public const int HopsAt = 9;
    public const int TimeoutAt = 10;
}

/// <summary>The frame is not what its kind says. The connection it came from is closed.</summary>
internal sealed class BadFrameException(string message) : Exception(message);

/// <summary>Reads one frame; every read checks that the bytes are there, since a peer controls them.</summary>
internal ref struct FrameReader(ReadOnlyMemory<byte> frame)
{
    private readonly ReadOnlyMemory<byte> _frame = frame;
    private int _at = 0;

    public byte ReadByte() => Take(1)[0];

    public int ReadInt32() => BinaryPrimitives.ReadInt32LittleEndian(Take(4));

    public long ReadInt64() => BinaryPrimitives.ReadInt64LittleEndian(Take(8));

    public string ReadString() => Encoding.UTF8.GetString(Take(BinaryPrimitives.ReadUInt16LittleEndian(Take(2))));

    public FrameBody ReadBody()
    {
        var json = TakeMemory(ReadInt32());
        var count = ReadInt32();
        if (count < 0 || count > _frame.Length / 4)
            throw new BadFrameException($"A frame claims {count} byte segments.");
        var segments = new ReadOnlyMemory<byte>[count];
        for (var i = 0; i < count; i++)
            segments[i] = TakeMemory(ReadInt32());
        return new FrameBody(json, segments);
    }

    private ReadOnlySpan<byte> Take(int length) => TakeMemory(length).Span;

    private ReadOnlyMemory<byte> TakeMemory(int length)
    {
        if (length < 0 || length > _frame.Length - _at)
            throw new BadFrameException($"A frame of {_frame.Length} bytes ends before the {length} bytes at {_at}.");
        var taken = _frame.Slice(_at, length);
        _at += length;
        return taken;
    }
}

/// <summary>The JSON of a frame and the byte arrays beside it.</summary>
internal readonly record struct FrameBody(ReadOnlyMemory<byte> Json, ReadOnlyMemory<byte>[] Segments);
