using System.Buffers;
using System.Buffers.Binary;
using System.Text;
using System.Text.Json;

namespace Hotpot.Actors;

/// <summary>Builds one frame in a pooled buffer.</summary>
internal sealed class FrameWriter : IBufferWriter<byte>, IDisposable
{
    [ThreadStatic]
    private static Utf8JsonWriter? t_json;

    private byte[] _buffer = ArrayPool<byte>.Shared.Rent(1024);
    private int _length = Frame.LengthBytes;

    public FrameWriter(FrameKind kind) => WriteByte((byte)kind);

    /// <summary>The whole frame, with its length in front. Throws when it is larger than a frame may be.</summary>
    public ReadOnlySpan<byte> Finish()
    {
        if (_length - Frame.LengthBytes > Frame.MaxBytes)
            throw new OrleansException(
                $"A message of {_length} bytes exceeds the {Frame.MaxBytes} bytes a grain call may have; pass less at a time.");
        BinaryPrimitives.WriteInt32LittleEndian(_buffer, _length - Frame.LengthBytes);
        return _buffer.AsSpan(0, _length);
    }

    public void WriteByte(byte value)
    {
        GetSpan(1)[0] = value;
        Advance(1);
    }

    public void WriteInt32(int value)
    {
        BinaryPrimitives.WriteInt32LittleEndian(GetSpan(4), value);
        Advance(4);
    }

    public void WriteInt64(long value)
    {
        BinaryPrimitives.WriteInt64LittleEndian(GetSpan(8), value);
        Advance(8);
    }

    public void WriteString(string value)
    {
        var bytes = Encoding.UTF8.GetByteCount(value);
        if (bytes > ushort.MaxValue)
            throw new ArgumentException(
                $"A name or key of {bytes} bytes is longer than the {ushort.MaxValue} bytes that fit; shorten it.", nameof(value));
        BinaryPrimitives.WriteUInt16LittleEndian(GetSpan(2), (ushort)bytes);
        Advance(2);
        Encoding.UTF8.GetBytes(value, GetSpan(bytes));
        Advance(bytes);
    }

    public void WriteBytes(ReadOnlySpan<byte> value)
    {
        value.CopyTo(GetSpan(value.Length));
        Advance(value.Length);
    }

    /// <summary>Writes JSON and, after it, the byte arrays that the JSON refers to.</summary>
    public void WriteBody<TState>(TState state, Action<Utf8JsonWriter, TState> write)
    {
        var lengthAt = _length;
        WriteInt32(0);
        var segments = new List<ReadOnlyMemory<byte>>();
        var json = t_json ?? new Utf8JsonWriter(this);
        t_json = null;
        json.Reset(this);
        using (WireJson.Writing(segments))
            write(json, state);
        json.Flush();
        json.Reset(Stream.Null);
        t_json = json;
        BinaryPrimitives.WriteInt32LittleEndian(_buffer.AsSpan(lengthAt), _length - lengthAt - 4);
        WriteInt32(segments.Count);
        foreach (var segment in segments)
        {
            WriteInt32(segment.Length);
            WriteBytes(segment.Span);
        }
    }

    public void WriteEmptyBody()
    {
        WriteInt32(0);
        WriteInt32(0);
    }

    /// <summary>Overwrites a value at a fixed place, counted from the kind byte.</summary>
    public void Patch(int at, long value) => BinaryPrimitives.WriteInt64LittleEndian(_buffer.AsSpan(Frame.LengthBytes + at), value);

    public void Patch(int at, int value) => BinaryPrimitives.WriteInt32LittleEndian(_buffer.AsSpan(Frame.LengthBytes + at), value);

    public void Patch(int at, byte value) => _buffer[Frame.LengthBytes + at] = value;

    public void Advance(int count) => _length += count;

    public Memory<byte> GetMemory(int sizeHint = 0)
    {
        Reserve(sizeHint);
        return _buffer.AsMemory(_length);
    }

    public Span<byte> GetSpan(int sizeHint = 0)
    {
        Reserve(sizeHint);
        return _buffer.AsSpan(_length);
    }

    public void Dispose()
    {
        var buffer = Interlocked.Exchange(ref _buffer, []);
        if (buffer.Length > 0)
            ArrayPool<byte>.Shared.Return(buffer);
    }

    private void Reserve(int size)
    {
        size = Math.Max(size, 256);
        if (_buffer.Length - _length >= size)
            return;
        var larger = ArrayPool<byte>.Shared.Rent(checked(Math.Max(_buffer.Length * 2, _length + size)));
        _buffer.AsSpan(0, _length).CopyTo(larger);
        ArrayPool<byte>.Shared.Return(_buffer);
        _buffer = larger;
    }
}
