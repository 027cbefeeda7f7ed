using System.Collections.Concurrent;

namespace Hotpot.Actors;

/// <summary>The connections that this silo opened to others: one to each, opened at the first need.</summary>
internal sealed class ConnectionPool(Func<SiloAddress, CancellationToken, Task<Connection>> connect) : IDisposable
{
    private readonly ConcurrentDictionary<SiloAddress, Lazy<Task<Connection>>> _connections = new();
    private readonly CancellationTokenSource _stopping = new();

    /// <summary>A connection that is open already, or null.</summary>
    public Connection? TryGet(SiloAddress silo) =>
        _connections.TryGetValue(silo, out var known) && known.Value is { IsCompletedSuccessfully: true, Result: { IsOpen: true } connection } ? connection : null;

    public async Task<Connection> GetAsync(SiloAddress silo, CancellationToken cancellationToken)
    {
        while (true)
        {
            var known = _connections.GetOrAdd(silo, address => new Lazy<Task<Connection>>(() => connect(address, _stopping.Token)));
            try
            {
                var connection = await known.Value.WaitAsync(cancellationToken).ConfigureAwait(false);
                if (connection.IsOpen)
                    return connection;
            }
            catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
            {
                throw new SiloUnavailableException("This silo is stopping; its calls end here.");
            }
            catch (SiloUnavailableException)
            {
                _connections.TryRemove(KeyValuePair.Create(silo, known));
                throw;
            }

            _connections.TryRemove(KeyValuePair.Create(silo, known));
        }
    }

    /// <summary>The silo is dead: calls that wait for it end now, whatever state its process is in.</summary>
    public void Close(SiloAddress silo, Exception reason)
    {
        if (_connections.TryRemove(silo, out var known) && known.IsValueCreated && known.Value.IsCompletedSuccessfully)
            known.Value.Result.Close(reason);
    }

    public void Dispose()
    {
        _stopping.Cancel();
        foreach (var silo in _connections.Keys)
            Close(silo, new SiloUnavailableException("This silo has stopped."));
    }
}
