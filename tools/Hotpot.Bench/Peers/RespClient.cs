using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Hotpot.Bench.Peers;

// The part of the Redis protocol (RESP2) that a benchmark needs, over one blocking socket.
//
// A caller appends commands and then flushes them: everything goes out in one write, and the replies are read one by one in the order of the commands. Nothing is
// allocated once the buffers have grown, and a thread that waits sleeps in recv(2): the same that a caller of Hotpot does, and the least a client can cost.
//
//   SET k v, WAIT 2 in one write:  client.Append("SET"u8, key, value); client.Append("WAIT"u8, "2"u8, "1000"u8); client.Flush(); client.ReadOk(); client.ReadInteger();

/// <summary>One connection to a Redis server. One thread at a time may use it.</summary>
internal sealed class RespClient : IDisposable
{
    private const int FirstBufferBytes = 64 << 10;

    private readonly Socket _socket;

    // Both grow, and are written by the thread that uses the connection only.
    private byte[] _out = new byte[FirstBufferBytes];
    private byte[] _in = new byte[FirstBufferBytes];
    private int _outLength;
    private int _inStart;
    private int _inEnd;

    private RespClient(Socket socket) => _socket = socket;

    /// <param name="endpoint">"tcp:PORT" on loopback, or "unix:PATH".</param>
    public static RespClient Connect(string endpoint)
    {
        EndPoint address;
        Socket socket;
        if (endpoint.Split(':', 2) is ["unix", var path])
        {
            address = new UnixDomainSocketEndPoint(path);
            socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        }
        else
        {
            address = new IPEndPoint(IPAddress.Loopback, int.Parse(endpoint["tcp:".Length..], CultureInfo.InvariantCulture));
            socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        }

        try
        {
            socket.Connect(address);
            return new RespClient(socket);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>Adds a command to the next write.</summary>
    public void Append(ReadOnlySpan<byte> command)
    {
        Begin(1);
        Argument(command);
    }

    /// <inheritdoc cref="Append(ReadOnlySpan{byte})"/>
    public void Append(ReadOnlySpan<byte> command, ReadOnlySpan<byte> first)
    {
        Begin(2);
        Argument(command);
        Argument(first);
    }

    /// <inheritdoc cref="Append(ReadOnlySpan{byte})"/>
    public void Append(ReadOnlySpan<byte> command, ReadOnlySpan<byte> first, ReadOnlySpan<byte> second)
    {
        Begin(3);
        Argument(command);
        Argument(first);
        Argument(second);
    }

    /// <summary>Begins a command of any length: its name and arguments follow, each by <see cref="Argument"/>.</summary>
    public void Begin(int words)
    {
        Reserve(32);
        _out[_outLength++] = (byte)'*';
        Number(words);
    }

    public void Argument(ReadOnlySpan<byte> word)
    {
        Reserve(word.Length + 32);
        _out[_outLength++] = (byte)'$';
        Number(word.Length);
        word.CopyTo(_out.AsSpan(_outLength));
        _outLength += word.Length;
        EndLine();
    }

    /// <summary>Sends what was appended.</summary>
    public void Flush()
    {
        var left = _out.AsSpan(0, _outLength);
        while (!left.IsEmpty)
            left = left[_socket.Send(left)..];
        _outLength = 0;
    }

    /// <summary>"+OK", or any other simple string.</summary>
    public void ReadOk() => Line('+');

    public long ReadInteger() => ToNumber(Line(':'));

    /// <summary>A value; it is valid until the next reply is read. Null of the protocol is empty.</summary>
    public ReadOnlySpan<byte> ReadBulk()
    {
        var length = (int)ToNumber(Line('$'));
        if (length < 0)
            return [];
        Need(length + 2);
        var value = _in.AsSpan(_inStart, length);
        _inStart += length + 2;
        return value;
    }

    /// <summary>The head of an array; that many replies follow.</summary>
    public int ReadArray() => (int)ToNumber(Line('*'));

    /// <summary>Reads one reply of any kind to its end.</summary>
    public void Skip()
    {
        Need(1);
        switch ((char)_in[_inStart])
        {
            case '*':
                for (var left = ReadArray(); left > 0; left--)
                    Skip();
                break;
            case '$':
                ReadBulk();
                break;
            case var kind:
                Line(kind == '-' ? '+' : kind);
                break;
        }
    }

    public void Dispose() => _socket.Dispose();

    /// <summary>One line of that kind, without the sign and the line's end.</summary>
    private ReadOnlySpan<byte> Line(char kind)
    {
        for (var looked = 0; ;)
        {
            var end = _in.AsSpan(_inStart + looked, _inEnd - _inStart - looked).IndexOf("\r\n"u8);
            if (end >= 0)
            {
                var line = _in.AsSpan(_inStart, looked + end);
                _inStart += looked + end + 2;
                if (line.IsEmpty || line[0] != kind)
                    throw new IOException($"The Redis server answered '{Encoding.UTF8.GetString(line)}' where '{kind}' was expected.");
                return line[1..];
            }

            // The last byte may be the first half of the line's end.
            looked = Math.Max(0, _inEnd - _inStart - 1);
            Receive();
        }
    }

    private static long ToNumber(ReadOnlySpan<byte> line) => long.Parse(line, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture);

    private void Need(int bytes)
    {
        while (_inEnd - _inStart < bytes)
            Receive();
    }

    private void Receive()
    {
        if (_inStart == _inEnd)
            _inStart = _inEnd = 0;
        if (_inEnd == _in.Length)
        {
            var old = _in;
            // Room is made at the front first; a value larger than the buffer makes it larger.
            if (_inStart == 0)
                _in = new byte[old.Length * 2];
            old.AsSpan(_inStart, _inEnd - _inStart).CopyTo(_in);
            (_inStart, _inEnd) = (0, _inEnd - _inStart);
        }

        var received = _socket.Receive(_in.AsSpan(_inEnd));
        if (received == 0)
            throw new IOException("The Redis server closed the connection.");
        _inEnd += received;
    }

    private void Number(int value)
    {
        value.TryFormat(_out.AsSpan(_outLength), out var written, provider: CultureInfo.InvariantCulture);
        _outLength += written;
        EndLine();
    }

    private void EndLine()
    {
        _out[_outLength++] = (byte)'\r';
        _out[_outLength++] = (byte)'\n';
    }

    private void Reserve(int bytes)
    {
        if (_out.Length - _outLength < bytes)
            Array.Resize(ref _out, Math.Max(_out.Length * 2, _outLength + bytes));
    }
}
