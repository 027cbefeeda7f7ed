using System.Collections.Concurrent;
using System.Net.Sockets;
using Microsoft.Extensions.Logging;

namespace Hotpot.Actors;

/// <summary>
/// The socket of a silo, and what happens to the frames that arrive on it and on the connections to other silos.
/// </summary>
internal sealed partial class SiloEndpoint(Silo silo, ClusterDirectory directory, ILogger logger) : IHandshakeOwner, IDisposable
{
    // Every silo of a machine and every client has one connection; this is far beyond what one machine runs, and bounds
    // what strangers can hold open.
    private const int MaxConnections = 1024;

    // With 1 KiB each this is 100 MB: a burst that the silo can still hold.
    private const int MaxCalls = 100_000;

    private static readonly TimeSpan DrainLook = TimeSpan.FromMilliseconds(10);
    private static readonly TimeSpan IntroductionTime = TimeSpan.FromSeconds(5);

    private readonly Welcomes _welcomes = new();
    private readonly ConcurrentDictionary<Connection, byte> _inbound = new();
    private readonly ConcurrentDictionary<(Connection From, long Correlation), IncomingCall> _calls = new();
    private readonly CancellationTokenSource _stopping = new();

    // The size of _calls, which is dear to ask for. Written with Interlocked.
    private int _callCount;

    // Written by Listen only.
    private Socket? _listener;

    public void Listen()
    {
        _listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        _listener.Bind(new UnixDomainSocketEndPoint(directory.CallSocket(silo.SiloAddress)));
        _listener.Listen(MaxConnections);
        _ = AcceptLoopAsync(_listener);
    }

    public Task ExpectWelcome(Connection connection) => _welcomes.Expect(connection);

    public IThreadPoolWorkItem? Accept(Connection connection, FrameKind kind, ReadOnlyMemory<byte> frame)
    {
        if (!connection.Introduced)
        {
            if (_inbound.ContainsKey(connection))
                Greet(connection, kind, frame);
            else
                _welcomes.Accept(connection, kind, frame);
            return null;
        }

        switch (kind)
        {
            case FrameKind.Request:
                if (IncomingCall.Accept(silo, connection, frame) is not { } call)
                    return null;
                if (Interlocked.Increment(ref _callCount) <= MaxCalls && _calls.TryAdd((connection, call.Correlation), call))
                    return new RequestWork(silo, call);
                Interlocked.Decrement(ref _callCount);
                var overload = new OrleansException($"The silo already has {MaxCalls} calls from outside in hand; call less at a time.");
                ReplyFrame.SendFailure(connection, call.Correlation, null, overload);
                return null;
            case FrameKind.Cancel:
                var reader = new FrameReader(frame[Frame.CorrelationAt..]);
                return _calls.TryGetValue((connection, reader.ReadInt64()), out var cancelled) ? new CancelWork(cancelled) : null;
            case FrameKind.System:
                if (connection.Peer is null)
                    throw new BadFrameException("A client sent a message that only silos may send.");
                return new SystemWork(this, connection, frame);
            default:
                throw new BadFrameException($"The peer sent a frame of kind {kind}.");
        }
    }

    public void OnClosed(Connection connection, Exception reason)
    {
        _welcomes.OnClosed(connection, reason);
        if (_inbound.TryRemove(connection, out _))
        {
            // Nobody waits for these any more; grains that take a token are told.
            foreach (var (key, call) in _calls)
            {
                if (key.From == connection)
                    call.Cancel();
            }
        }

        if (reason is BadFrameException)
            LogBadFrame(connection.Peer?.ToString() ?? "a client", reason.Message);
        if (connection.Peer is not null)
            silo.Membership.CheckNow();
    }

    public void Finished(Connection from, IncomingCall call)
    {
        if (_calls.TryRemove((from, call.Correlation), out _))
            Interlocked.Decrement(ref _callCount);
    }

    /// <summary>
    /// Sends the clients elsewhere, and waits until the calls that were received have been answered or the token ends
    /// the wait.
    /// </summary>
    public async Task DrainAsync(CancellationToken cancellationToken)
    {
        foreach (var client in _inbound.Keys.Where(connection => connection is { Introduced: true, Peer: null }))
        {
            using var frame = new FrameWriter(FrameKind.Leaving);
            client.Send(frame);
        }

        // A client that has not read the frame yet may still send; this is the time it gets.
        do
            await Task.Delay(DrainLook, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        while (!_calls.IsEmpty && !cancellationToken.IsCancellationRequested);
    }

    /// <summary>Closes what a dead silo has opened to this one.</summary>
    public void CloseFrom(SiloAddress dead, Exception reason)
    {
        foreach (var connection in _inbound.Keys.Where(connection => dead.Equals(connection.Peer)))
            connection.Close(reason);
    }

    public void Dispose()
    {
        _stopping.Cancel();
        _listener?.Dispose();
        foreach (var connection in _inbound.Keys)
            connection.Close(new SiloUnavailableException("This silo has stopped."));
    }

    private async Task AcceptLoopAsync(Socket listener)
    {
        while (!_stopping.IsCancellationRequested)
        {
            Socket socket;
            try
            {
                socket = await listener.AcceptAsync(_stopping.Token).ConfigureAwait(false);
            }
            catch (Exception exception) when (
                _stopping.IsCancellationRequested && exception is OperationCanceledException or SocketException or ObjectDisposedException)
            {
                return;
            }
            catch (SocketException exception)
            {
                // Out of descriptors, most likely. Those that are connected go on; who wants to connect tries again.
                LogAcceptFailed(exception);
                await Task.Delay(TimeSpan.FromMilliseconds(100), CancellationToken.None).ConfigureAwait(false);
                continue;
            }

            if (_inbound.Count >= MaxConnections)
            {
                LogTooManyConnections(MaxConnections);
                socket.Dispose();
                continue;
            }

            var connection = new Connection(socket, this);
            _inbound[connection] = 0;
            connection.Start();
            _ = CloseUnlessIntroducedAsync(connection);
        }
    }

    private async Task CloseUnlessIntroducedAsync(Connection connection)
    {
        await Task.Delay(IntroductionTime, _stopping.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (!connection.Introduced)
            connection.Close(new BadFrameException("The peer did not introduce itself in time."));
    }

    private void Greet(Connection connection, FrameKind kind, ReadOnlyMemory<byte> frame)
    {
        if (kind != FrameKind.Hello)
            throw new BadFrameException($"The peer began with a frame of kind {kind} instead of a greeting.");
        var hello = Handshake.ReadHello(frame);
        if (Refusal(hello) is { } refusal)
        {
            using (var answer = Handshake.WriteRefusal(refusal))
                connection.Send(answer);
            throw new BadFrameException(refusal);
        }

        connection.Peer = hello.Silo;
        connection.Introduced = true;
        using var welcome = new FrameWriter(FrameKind.Welcome);
        connection.Send(welcome);
    }

    private string? Refusal(Handshake.Hello hello)
    {
        if (hello.ClusterId != silo.ClusterId || hello.ServiceId != silo.ServiceId)
            return $"This silo belongs to cluster \"{silo.ClusterId}\", service \"{silo.ServiceId}\", "
                + $"the caller to \"{hello.ClusterId}\", \"{hello.ServiceId}\"; use another cluster directory.";
        if (hello.Silo is { } caller && silo.Membership.CurrentSnapshot.GetSiloStatus(caller) == SiloStatus.Dead)
            return $"{caller} was declared dead; restart its process.";
        return null;
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "A connection from {Peer} was closed: {Reason}")]
    private partial void LogBadFrame(string peer, string reason);

    [LoggerMessage(Level = LogLevel.Error, Message = "No connection could be accepted; raise the limit of open files if this goes on.")]
    private partial void LogAcceptFailed(Exception exception);

    [LoggerMessage(Level = LogLevel.Warning, Message = "A connection was refused, since {Limit} are open.")]
    private partial void LogTooManyConnections(int limit);

    private sealed class RequestWork(Silo silo, IncomingCall call) : IThreadPoolWorkItem
    {
        public void Execute() => silo.Router.Dispatch(call, runHere: true);
    }

    private sealed class CancelWork(IncomingCall call) : IThreadPoolWorkItem
    {
        public void Execute() => call.Cancel();
    }

    private sealed class SystemWork(SiloEndpoint endpoint, Connection connection, ReadOnlyMemory<byte> frame) : IThreadPoolWorkItem
    {
        public void Execute() => _ = endpoint.AnswerAsync(connection, frame);
    }

    private async Task AnswerAsync(Connection connection, ReadOnlyMemory<byte> frame)
    {
        try
        {
            var question = SystemQuestion.Read(frame);
            try
            {
                var answer = await silo.AnswerAsync(question, _stopping.Token).ConfigureAwait(false);
                using var reply = ReplyFrame.Begin(question.Correlation, failed: false, null);
                reply.WriteBody(answer, static (json, value) => System.Text.Json.JsonSerializer.Serialize(json, value, value.GetType(), WireJson.Call));
                connection.Send(reply);
            }
            catch (Exception exception) when (exception is not BadFrameException)
            {
                ReplyFrame.SendFailure(connection, question.Correlation, null, exception);
            }
        }
        catch (BadFrameException exception)
        {
            connection.Close(exception);
        }
    }
}
