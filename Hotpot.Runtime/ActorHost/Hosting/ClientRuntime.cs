using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Hotpot.Actors;

/// <summary>
/// The client of a cluster of this machine. It has one connection, to any active silo, which passes its calls on. When
/// the silo goes, the calls that are under way end in <see cref="SiloUnavailableException"/>, and the next call
/// connects to another. A silo that stands still keeps its connections open, so the client also looks into the
/// membership table, where the other silos declare it dead.
/// </summary>
internal sealed partial class ClientRuntime : ICallRouter, IHandshakeOwner, IDisposable
{
    private static readonly TimeSpan LookAgainAfter = TimeSpan.FromMilliseconds(50);

    // A look costs one listing of a small directory.
    private static readonly TimeSpan LookAtSiloEvery = TimeSpan.FromMilliseconds(500);

    private readonly ClusterDirectory _directory;
    private readonly MembershipTable _table;
    private readonly Handshake.Hello _hello;
    private readonly CallClock _clock = new();
    private readonly Welcomes _welcomes = new();
    private readonly SemaphoreSlim _connecting = new(1);
    private readonly CancellationTokenSource _stopping = new();
    private readonly ILogger _logger;

    // Written under _connecting.
    private volatile Connection? _connection;

    public ClientRuntime(
        IServiceProvider services,
        IOptions<ClusterOptions> cluster,
        IOptions<ClientMessagingOptions> messaging,
        IOptions<EmbeddedClusteringOptions> clustering,
        ILoggerFactory loggers)
    {
        _directory = new ClusterDirectory(clustering.Value.Directory);
        _table = new MembershipTable(_directory, cluster.Value.ClusterId, cluster.Value.ServiceId);
        _hello = new Handshake.Hello(cluster.Value.ClusterId, cluster.Value.ServiceId, null);
        _logger = loggers.CreateLogger("Hotpot.Actors.Client");
        ResponseTimeout = messaging.Value.ResponseTimeout;
        GrainFactory = new GrainFactory(this, _clock, services);
    }

    public TimeSpan ResponseTimeout { get; }

    public GrainFactory GrainFactory { get; }

    /// <summary>Connects, or says within the time for a call that it cannot.</summary>
    public async Task ConnectAsync(CancellationToken cancellationToken)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(ResponseTimeout);
        try
        {
            await GetConnectionAsync(limit.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException exception) when (!cancellationToken.IsCancellationRequested)
        {
            throw new SiloUnavailableException(
                $"No active silo was found in {_directory.Root} within {ResponseTimeout.TotalSeconds:0.###} s; start one.", exception);
        }
    }

    /// <summary>
    /// A client knows the interface only; its grain id serves for messages and for comparing references.
    /// </summary>
    public GrainId Resolve(InterfaceShape grainInterface, string key)
    {
        var name = grainInterface.Type.Name;
        if (name.Length > 1 && name[0] == 'I' && char.IsUpper(name[1]))
            name = name[1..];
        if (name.EndsWith("Grain", StringComparison.Ordinal) && name.Length > 5)
            name = name[..^5];
        return GrainId.Create(name.ToLowerInvariant(), key);
    }

    public void Start(OutgoingCall call)
    {
        if (_connection is { IsOpen: true, IsLeaving: false } connection)
            call.SendTo(connection);
        else
            _ = ConnectAndSendAsync(call);
    }

    public Task ExpectWelcome(Connection connection) => _welcomes.Expect(connection);

    public IThreadPoolWorkItem? Accept(Connection connection, FrameKind kind, ReadOnlyMemory<byte> frame)
    {
        if (connection.Introduced && kind == FrameKind.Leaving)
        {
            connection.IsLeaving = true;
            return null;
        }

        if (connection.Introduced)
            throw new BadFrameException($"A silo sent its client a frame of kind {kind}.");
        _welcomes.Accept(connection, kind, frame);
        return null;
    }

    public void OnClosed(Connection connection, Exception reason)
    {
        _welcomes.OnClosed(connection, reason);
        LogDisconnected(connection.Peer, reason.Message);
    }

    public void Dispose()
    {
        _stopping.Cancel();
        _clock.Dispose();
        _connection?.Dispose();
    }

    private async Task ConnectAndSendAsync(OutgoingCall call)
    {
        try
        {
            using var limit = CancellationTokenSource.CreateLinkedTokenSource(_stopping.Token);
            var remaining = CallClock.Until(call.Deadline);
            limit.CancelAfter(remaining > TimeSpan.Zero ? remaining : TimeSpan.Zero);
            call.SendTo(await GetConnectionAsync(limit.Token).ConfigureAwait(false));
        }
        catch (OperationCanceledException exception)
        {
            call.Fail(new TimeoutException($"{call.Name} found no active silo in {_directory.Root} in time; start one.", exception));
        }
        catch (Exception exception)
        {
            call.Fail(exception);
        }
    }

    private async Task<Connection> GetConnectionAsync(CancellationToken cancellationToken)
    {
        await _connecting.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            while (true)
            {
                if (_connection is { IsOpen: true, IsLeaving: false } open)
                    return open;
                foreach (var silo in ActiveSilos())
                {
                    try
                    {
                        _connection = await Connector.ConnectAsync(_directory, silo, _hello, this, cancellationToken).ConfigureAwait(false);
                        LogConnected(silo);
                        _ = WatchAsync(_connection, silo);
                        return _connection;
                    }
                    catch (SiloUnavailableException exception)
                    {
                        LogNotConnected(silo, exception.Message);
                    }
                }

                await Task.Delay(LookAgainAfter, cancellationToken).ConfigureAwait(false);
            }
        }
        finally
        {
            _connecting.Release();
        }
    }

    /// <summary>Ends with the connection, or ends the connection when its silo has been declared dead.</summary>
    private async Task WatchAsync(Connection connection, SiloAddress silo)
    {
        using var timer = new PeriodicTimer(LookAtSiloEvery);
        try
        {
            while (connection.IsOpen && await timer.WaitForNextTickAsync(_stopping.Token).ConfigureAwait(false))
            {
                if (_table.Read().Find(silo) is null or { Status: SiloStatus.Dead })
                    connection.Close(new SiloUnavailableException($"{silo} is dead."));
            }
        }
        catch (OperationCanceledException) when (_stopping.IsCancellationRequested)
        {
            return;
        }
        catch (Exception exception)
        {
            // Without the table the client could not notice; the next call connects anew, or says what is wrong with the table.
            connection.Close(new SiloUnavailableException($"The state of {silo} could not be read.", exception));
        }
    }

    /// <summary>
    /// In random order, so that clients spread over the silos. A silo whose process has ended is left out, even if
    /// nobody has noticed yet.
    /// </summary>
    private SiloAddress[] ActiveSilos()
    {
        var silos = _table.Read().Rows
            .Where(row => row.Status == SiloStatus.Active)
            .Select(row => row.ToAddress())
            .Where(silo => FileLock.IsHeld(_directory.LifeLock(silo)))
            .ToArray();
        Random.Shared.Shuffle(silos);
        return silos;
    }

    [LoggerMessage(Level = LogLevel.Debug, Message = "Connected to {Silo}.")]
    private partial void LogConnected(SiloAddress silo);

    [LoggerMessage(Level = LogLevel.Debug, Message = "The connection to {Silo} ended: {Reason}")]
    private partial void LogDisconnected(SiloAddress? silo, string reason);

    [LoggerMessage(Level = LogLevel.Debug, Message = "No connection to {Silo}: {Reason}")]
    private partial void LogNotConnected(SiloAddress silo, string reason);
}

internal sealed class ClientHostedService(ClientRuntime client) : IHostedService
{
    public Task StartAsync(CancellationToken cancellationToken) => client.ConnectAsync(cancellationToken);

    public Task StopAsync(CancellationToken cancellationToken)
    {
        client.Dispose();
        return Task.CompletedTask;
    }
}
