using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Net.Sockets;

namespace Hotpot.Actors;

/// <summary>Waits for the reply to something that was sent. Exactly one of the two is called, once.</summary>
internal interface IReplySink
{
    /// <summary>The frame is the reply, from its kind byte on.</summary>
    void OnReply(ReadOnlyMemory<byte> frame);

    /// <summary>The connection went away first; whether the peer acted is unknown.</summary>
    void OnConnectionLost(Exception reason);
}

/// <summary>What happens to the frames of a connection that are not replies.</summary>
internal interface IConnectionOwner
{
    /// <summary>
    /// Looks at a frame, in the order of arrival, and returns what is left to do for it. A <see
    /// cref="BadFrameException"/> closes the connection.
    /// </summary>
    IThreadPoolWorkItem? Accept(Connection connection, FrameKind kind, ReadOnlyMemory<byte> frame);

    void OnClosed(Connection connection, Exception reason);
}

// A connection between two processes of this machine.
//
// Latency is what matters here: a wake-up of another thread costs more than everything else a small call does. So:
//   - A frame is sent by the thread that has it, in a plain send on the socket. Only when another thread is in the
//     middle of sending, or the socket is full, it is left behind in the buffer for the thread that sends.
//   - The thread that receives a frame also acts on it, but never while the socket waits for it: the next receive is
//     started first, and its completion is another thread's. When the next bytes are there already, the frame goes to
//     the thread pool instead. So a grain that hogs its turn delays nobody else's frames.
//
// What comes from the peer is checked for length before memory is taken for it. Anything malformed closes the
// connection and nothing more.
internal sealed class Connection : IDisposable
{
    private const int ReceiveBytes = 64 * 1024;

    // A peer that does not read is given up at this backlog; it holds several of the largest frames.
    private const int MaxBacklogBytes = 64 * 1024 * 1024;

    private readonly Socket _socket;
    private readonly IConnectionOwner _owner;
    private readonly Receiver _receiver;
    private readonly ConcurrentDictionary<long, IReplySink> _waiting = new();

    // Guarded by _sendGate: bytes that wait, bytes that are being sent, and whether a thread is sending.
    private readonly Lock _sendGate = new();
    private GrowingBuffer _backlog = new();
    private GrowingBuffer _inFlight = new();
    private bool _sending;

    private long _lastCorrelation;

    // Written once, by the first to close.
    private Exception? _closed;

    public Connection(Socket socket, IConnectionOwner owner)
    {
        _socket = socket;
        _owner = owner;
        _receiver = new Receiver(this);
    }

    /// <summary>
    /// The silo at the other end; null for a client, and until the handshake is over. Written by the handshake only.
    /// </summary>
    public SiloAddress? Peer { get; set; }

    /// <summary>True once the peer has introduced itself. Written by the handshake only.</summary>
    public bool Introduced { get; set; }

    /// <summary>
    /// True when the peer is about to stop: answers still come, but new calls should go elsewhere. Written by the
    /// receiving thread only.
    /// </summary>
    public volatile bool IsLeaving;

    public bool IsOpen => Volatile.Read(ref _closed) is null;

    public void Start() => _receiver.Start();

    /// <summary>Gives the sink a number under which the reply will come back.</summary>
    public long Expect(IReplySink sink)
    {
        var correlation = Interlocked.Increment(ref _lastCorrelation);
        _waiting[correlation] = sink;
        if (Volatile.Read(ref _closed) is { } reason && _waiting.TryRemove(correlation, out _))
            sink.OnConnectionLost(reason);
        return correlation;
    }

    /// <summary>The reply is no longer wanted.</summary>
    public bool Forget(long correlation) => _waiting.TryRemove(correlation, out _);

    /// <summary>
    /// Sends a frame. On a closed connection it goes nowhere; whoever expects a reply has been told by then.
    /// </summary>
    public void Send(FrameWriter frame)
    {
        var bytes = frame.Finish();
        lock (_sendGate)
        {
            if (_closed is not null)
                return;
            if (_backlog.Length + bytes.Length > MaxBacklogBytes)
                throw new OrleansException(
                    $"{MaxBacklogBytes} bytes wait to be sent to {Peer?.ToString() ?? "a client"}, which does not read them; call less at a time.");
            _backlog.Append(bytes);
            if (_sending)
                return;
            _sending = true;
        }

        _ = FlushAsync();
    }

    public void SendCancel(long correlation)
    {
        using var frame = new FrameWriter(FrameKind.Cancel);
        frame.WriteInt64(correlation);
        Send(frame);
    }

    public void Close(Exception reason)
    {
        lock (_sendGate)
        {
            if (_closed is not null)
                return;
            Volatile.Write(ref _closed, reason);
        }

        _socket.Dispose();
        foreach (var correlation in _waiting.Keys)
        {
            if (_waiting.TryRemove(correlation, out var sink))
                sink.OnConnectionLost(reason);
        }

        _owner.OnClosed(this, reason);
    }

    public void Dispose() => Close(new SiloUnavailableException("The connection was closed at this end."));

    private async Task FlushAsync()
    {
        try
        {
            while (true)
            {
                lock (_sendGate)
                {
                    if (_backlog.Length == 0)
                    {
                        _sending = false;
                        return;
                    }

                    (_backlog, _inFlight) = (_inFlight, _backlog);
                }

                var rest = _inFlight.Memory;
                while (!rest.IsEmpty)
                    rest = rest[await _socket.SendAsync(rest, SocketFlags.None).ConfigureAwait(false)..];
                _inFlight.Clear();
            }
        }
        catch (Exception exception) when (exception is SocketException or ObjectDisposedException)
        {
            Close(new SiloUnavailableException($"The connection to {Peer?.ToString() ?? "a client"} broke while sending.", exception));
        }
    }

    private IThreadPoolWorkItem? Accept(ReadOnlyMemory<byte> frame)
    {
        var kind = (FrameKind)frame.Span[0];
        if (kind != FrameKind.Reply || !Introduced)
            return _owner.Accept(this, kind, frame);
        var reader = new FrameReader(frame[Frame.CorrelationAt..]);
        return _waiting.TryRemove(reader.ReadInt64(), out var sink) ? new ReplyWork(this, sink, frame) : null;
    }

    /// <summary>A list of bytes that keeps a modest array between uses.</summary>
    private sealed class GrowingBuffer
    {
        private const int Keep = 256 * 1024;

        private byte[] _bytes = new byte[4096];

        public int Length { get; private set; }

        public ReadOnlyMemory<byte> Memory => _bytes.AsMemory(0, Length);

        public void Append(ReadOnlySpan<byte> bytes)
        {
            if (_bytes.Length - Length < bytes.Length)
                Array.Resize(ref _bytes, Math.Max(_bytes.Length * 2, Length + bytes.Length));
            bytes.CopyTo(_bytes.AsSpan(Length));
            Length += bytes.Length;
        }

        public void Clear()
        {
            Length = 0;
            if (_bytes.Length > Keep)
                _bytes = new byte[4096];
        }
    }

    private sealed class ReplyWork(Connection connection, IReplySink sink, ReadOnlyMemory<byte> frame) : IThreadPoolWorkItem
    {
        public void Execute()
        {
            try
            {
                sink.OnReply(frame);
            }
            catch (BadFrameException exception)
            {
                sink.OnConnectionLost(exception);
                connection.Close(exception);
            }
        }
    }

    /// <summary>The receiving half. Its fields belong to the one thread that handles the current completion.</summary>
    private sealed class Receiver : SocketAsyncEventArgs
    {
        private readonly Connection _connection;
        private readonly byte[] _small = new byte[ReceiveBytes];
        private int _have;

        // A frame that does not fit the small buffer is received into an array of its own.
        private byte[]? _large;

        public Receiver(Connection connection)
            : base(true) => _connection = connection;

        public void Start() => Run(alreadyReceived: false);

        protected override void OnCompleted(SocketAsyncEventArgs e) => Run(alreadyReceived: true);

        private void Run(bool alreadyReceived)
        {
            try
            {
                IThreadPoolWorkItem? last = null;
                while (true)
                {
                    if (alreadyReceived)
                    {
                        if (SocketError != SocketError.Success || BytesTransferred == 0)
                        {
                            _connection.Close(new SiloUnavailableException(
                                $"The connection to {_connection.Peer?.ToString() ?? "a client"} ended ({SocketError})."));
                            return;
                        }

                        _have += BytesTransferred;
                        last = TakeFrames();
                    }

                    if (_large is not null)
                        SetBuffer(_large, _have, _large.Length - _have);
                    else
                        SetBuffer(_small, _have, _small.Length - _have);
                    alreadyReceived = true;
                    if (_connection._socket.ReceiveAsync(this))
                    {
                        // From here on another thread may be in Run; this one touches no field any more.
                        last?.Execute();
                        return;
                    }

                    if (last is not null)
                        ThreadPool.UnsafeQueueUserWorkItem(last, preferLocal: false);
                }
            }
            catch (BadFrameException exception)
            {
                _connection.Close(exception);
            }
            catch (Exception exception) when (exception is ObjectDisposedException or SocketException)
            {
                _connection.Close(new SiloUnavailableException("The connection broke while receiving.", exception));
            }
        }

        /// <summary>
        /// Accepts every whole frame; all that is left to do goes to the pool, except the last, which is returned.
        /// </summary>
        private IThreadPoolWorkItem? TakeFrames()
        {
            if (_large is not null)
            {
                if (_have < _large.Length)
                    return null;
                var whole = _large;
                _large = null;
                _have = 0;
                return _connection.Accept(whole);
            }

            IThreadPoolWorkItem? last = null;
            var at = 0;
            while (_have - at >= Frame.LengthBytes)
            {
                var length = BinaryPrimitives.ReadInt32LittleEndian(_small.AsSpan(at));
                var limit = _connection.Introduced ? Frame.MaxBytes : Frame.MaxHelloBytes;
                if (length <= 0 || length > limit)
                    throw new BadFrameException($"The peer announced a frame of {length} bytes; at most {limit} are allowed here.");
                var here = _have - at - Frame.LengthBytes;
                if (here < length)
                {
                    if (length + Frame.LengthBytes <= _small.Length)
                        break;
                    _large = GC.AllocateUninitializedArray<byte>(length);
                    _small.AsSpan(at + Frame.LengthBytes, here).CopyTo(_large);
                    _have = here;
                    return last;
                }

                var frame = _small.AsSpan(at + Frame.LengthBytes, length).ToArray();
                at += Frame.LengthBytes + length;
                if (last is not null)
                    ThreadPool.UnsafeQueueUserWorkItem(last, preferLocal: false);
                last = _connection.Accept(frame);
            }

            _small.AsSpan(at, _have - at).CopyTo(_small);
            _have -= at;
            return last;
        }
    }
}
