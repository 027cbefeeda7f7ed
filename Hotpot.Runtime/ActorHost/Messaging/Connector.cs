using System.Net.Sockets;

namespace Hotpot.Actors;

/// <summary>Opens a connection to a silo and introduces this process.</summary>
internal static class Connector
{
    // A living silo answers in well under a millisecond. A stopped one is declared dead before this is over.
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    public static async Task<Connection> ConnectAsync(
        ClusterDirectory directory, SiloAddress silo, Handshake.Hello hello, IHandshakeOwner owner, CancellationToken cancellationToken)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(Patience);
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(directory.CallSocket(silo)), limit.Token).ConfigureAwait(false);
        }
        catch (Exception exception) when (exception is SocketException or OperationCanceledException)
        {
            socket.Dispose();
            cancellationToken.ThrowIfCancellationRequested();
            throw new SiloUnavailableException($"No connection to {silo} could be opened.", exception);
        }

        var connection = new Connection(socket, owner) { Peer = silo };
        var welcomed = owner.ExpectWelcome(connection);
        try
        {
            connection.Start();
            using (var frame = Handshake.WriteHello(hello))
                connection.Send(frame);
            await welcomed.WaitAsync(limit.Token).ConfigureAwait(false);
            return connection;
        }
        catch (OperationCanceledException exception)
        {
            connection.Dispose();
            cancellationToken.ThrowIfCancellationRequested();
            throw new SiloUnavailableException($"{silo} accepted a connection but did not answer.", exception);
        }
        catch
        {
            connection.Dispose();
            throw;
        }
    }
}

/// <summary>An owner of connections that it opened itself.</summary>
internal interface IHandshakeOwner : IConnectionOwner
{
    /// <summary>Completes when the peer welcomes the connection, and fails when it refuses it or goes away.</summary>
    Task ExpectWelcome(Connection connection);
}

/// <summary>The welcomes that are waited for.</summary>
internal sealed class Welcomes
{
    private readonly System.Collections.Concurrent.ConcurrentDictionary<Connection, TaskCompletionSource> _waiting = new();

    public Task Expect(Connection connection) =>
        _waiting.GetOrAdd(connection, static _ => new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).Task;

    /// <summary>Handles a frame on a connection that this process opened and that is not introduced yet.</summary>
    public void Accept(Connection connection, FrameKind kind, ReadOnlyMemory<byte> frame)
    {
        if (!_waiting.TryRemove(connection, out var welcome))
            throw new BadFrameException($"The peer sent {kind} before it was greeted.");
        switch (kind)
        {
            case FrameKind.Welcome:
                connection.Introduced = true;
                welcome.SetResult();
                break;
            case FrameKind.Refuse:
                welcome.SetException(new OrleansConfigurationException(Handshake.ReadRefusal(frame)));
                break;
            default:
                welcome.SetException(new SiloUnavailableException("The peer does not speak the protocol of the embedded actor host."));
                throw new BadFrameException($"The peer answered the greeting with {kind}.");
        }
    }

    public void OnClosed(Connection connection, Exception reason)
    {
        if (_waiting.TryRemove(connection, out var welcome))
            welcome.SetException(reason as SiloUnavailableException ?? new SiloUnavailableException(reason.Message, reason));
    }
}
