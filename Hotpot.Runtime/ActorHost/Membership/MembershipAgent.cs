using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Diagnostics;
using System.Net.Sockets;
using Microsoft.Extensions.Logging;

namespace Hotpot.Actors;

// Membership on one machine.
//
// Problem. Every silo must learn within a fraction of a second that another has died, all must agree on it, and a silo
// that was only asleep (stopped by a signal, swapped out, in a debugger) must not go on as if nothing had happened.
//
// Scheme. The truth is the membership table (MembershipTable.cs), a file that is replaced version by version. Two
// observations lead to a row being marked dead, and whoever observes first writes it:
//   - The silo's life lock is free. The kernel frees it when the process ends, so this is exact, and it is tried every
//     LockPollInterval.
//   - The silo has not answered a heartbeat for DeadAfter, although its process lives. This is a judgement, and it can
//     be wrong, but it becomes true by being written: the silo finds its own row dead when it wakes, and fences itself.
//
// Heartbeats are datagrams on a Unix socket that a thread of its own reads and answers, so that neither a busy thread pool
// nor a grain that hogs its turn looks like death. A collection that never ends does, and that is wanted: such a silo
// serves nobody.
//
// Normal case. One thread per silo: poll the socket, answer pings, note who spoke; every 100 ms read the table and try
// the locks; every 250 ms ping the others. A ping carries the version of the sender's table, so a change is read by the
// others at once and not at the next poll.
//
// The observer itself may have been asleep. Then everybody seems silent to it. So a loop that ran late forgives all
// silence it did not witness, and it looks at the table, and so at its own row, before it judges anybody.
//
// Potential weakness. A silo that wakes serves calls for up to one LockPollInterval before it sees its tombstone. What
// it could do wrong in that time is stopped elsewhere: its peers have closed its connections, grain storage looks at
// the tombstone before each write, and the data path refuses its epochs.
internal sealed partial class MembershipAgent : IClusterMembershipService, IDisposable
{
    private const uint DatagramMagic = 0x42485048;
    private const int DatagramBytes = 24;
    private const byte Ping = 1;
    private const byte Pong = 2;
    private const byte Nudge = 3;

    private readonly ClusterDirectory _directory;
    private readonly MembershipTable _table;
    private readonly EmbeddedClusteringOptions _options;
    private readonly ILogger _logger;
    private readonly SnapshotFeed _feed;

    // Held while a snapshot is given to the handlers and then to the readers, so that all see the same order.
    private readonly Lock _publishing = new();

    // Written by Join and Dispose only, which the lifecycle of the silo keeps apart.
    private FileLock? _life;
    private Socket? _socket;
    private Thread? _thread;
    private SiloAddress? _local;

    // Written once, by whoever finds the tombstone first.
    private int _fenced;

    // Written by Leave before the thread ends.
    private volatile bool _stopping;

    // Written by the membership thread only: when each other silo last gave a sign of life, by Stopwatch.GetTimestamp.
    private readonly Dictionary<SiloAddress, long> _lastHeard = [];

    // Written by the membership thread: the newest table that each other silo has spoken of.
    private readonly ConcurrentDictionary<SiloAddress, long> _seenVersions = new();

    // Guarded by itself: any thread may send.
    private readonly Dictionary<SiloAddress, UnixDomainSocketEndPoint> _endpoints = [];

    public MembershipAgent(ClusterDirectory directory, MembershipTable table, EmbeddedClusteringOptions options, ILogger logger)
    {
        _directory = directory;
        _table = table;
        _options = options;
        _logger = logger;
        _feed = new SnapshotFeed(new ClusterMembershipSnapshot(ImmutableDictionary<SiloAddress, ClusterMember>.Empty, new MembershipVersion(0)));
    }

    /// <summary>Raised once, on any thread, when this silo finds that it was declared dead.</summary>
    public event Action<string>? Fenced;

    /// <summary>
    /// Raised for every new snapshot, one after the other, before its readers see it. Handlers must be quick and must not
    /// throw.
    /// </summary>
    public event Action<ClusterMembershipSnapshot>? Changed;

    public SiloAddress Local => _local ?? throw new InvalidOperationException(
        "The silo has not joined its cluster yet; wait until the host has started.");

    public bool IsFenced => Volatile.Read(ref _fenced) != 0;

    public ClusterMembershipSnapshot CurrentSnapshot => _feed.Current;

    public IAsyncEnumerable<ClusterMembershipSnapshot> MembershipUpdates => _feed;

    /// <summary>Enters the cluster as Joining and starts to watch it.</summary>
    public void Join(string name)
    {
        var (row, life, image) = _table.Join(name);
        _life = life;
        _local = row.ToAddress();
        _socket = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified) { Blocking = false };
        _socket.Bind(new UnixDomainSocketEndPoint(_directory.HeartbeatSocket(_local)));
        Publish(image);
        _thread = new Thread(Watch) { IsBackground = true, Name = "hotpot-membership" };
        _thread.Start();
        LogJoined(name, _local, _directory.Root);
    }

    /// <summary>Moves the local silo on in its life, and tells the others.</summary>
    public void SetStatus(SiloStatus status, string? reason = null)
    {
        Publish(_table.SetStatus(Local, status, reason));
        Announce();
    }

    /// <summary>Waits until every other silo has seen the current snapshot, or until the token ends the wait.</summary>
    public async Task WaitUntilSeenAsync(CancellationToken cancellationToken)
    {
        var version = CurrentSnapshot.Version.Value;
        while (Others().Any(member => _seenVersions.GetValueOrDefault(member.SiloAddress) < version) && !cancellationToken.IsCancellationRequested)
        {
            Announce();
            await Task.Delay(TimeSpan.FromMilliseconds(2), cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    /// <summary>Ends this life in the table: an orderly leave. The others learn it at once.</summary>
    public void Leave()
    {
        _stopping = true;
        SetStatus(SiloStatus.Dead, "it stopped");
    }

    public ValueTask Refresh(MembershipVersion minimumVersion = default, CancellationToken cancellationToken = default)
    {
        cancellationToken.ThrowIfCancellationRequested();
        if (minimumVersion == default || CurrentSnapshot.Version < minimumVersion)
            Publish(_table.Read());
        return CurrentSnapshot.Version >= minimumVersion ? ValueTask.CompletedTask : new ValueTask(WaitFor(minimumVersion, cancellationToken));
    }

    public Task<bool> TryKill(SiloAddress siloAddress) => Task.Run(() =>
    {
        DeclareDead(siloAddress, $"{_local} was told to declare it dead");
        return CurrentSnapshot.GetSiloStatus(siloAddress) == SiloStatus.Dead;
    });

    /// <summary>Asks the membership thread to try all locks now: somebody's connection broke.</summary>
    public void CheckNow() => Send(Local, Nudge);

    /// <summary>
    /// Throws when this silo was declared dead; reads the table, so it also knows before the membership thread does.
    /// </summary>
    public void EnsureAlive()
    {
        Publish(_table.Read());
        if (IsFenced)
            throw new SiloUnavailableException($"The silo {_local} was declared dead and fenced itself; restart its process.");
    }

    public void Dispose()
    {
        _stopping = true;
        if (_thread is { IsAlive: true } && Thread.CurrentThread != _thread)
        {
            CheckNow();
            _thread.Join();
        }

        _socket?.Dispose();
        _life?.Dispose();
    }

    private async Task WaitFor(MembershipVersion version, CancellationToken cancellationToken)
    {
        await foreach (var snapshot in _feed.WithCancellation(cancellationToken).ConfigureAwait(false))
        {
            if (snapshot.Version >= version)
                return;
        }
    }

    private void Publish(MembershipImage image)
    {
        var snapshot = image.ToSnapshot();
        lock (_publishing)
        {
            if (_feed.Current.Version < snapshot.Version)
            {
                // The handlers see the snapshot first, so that whoever awaits an update finds routing already changed by
                // it.
                Changed?.Invoke(snapshot);
                _feed.Publish(snapshot);
            }
        }

        if (_stopping || _local is null || image.Find(_local) is { Status: not SiloStatus.Dead })
            return;
        if (Interlocked.Exchange(ref _fenced, 1) == 0)
        {
            var reason = image.Find(_local)?.Reason ?? "its row was removed from the membership table";
            LogFenced(_local, reason);
            Fenced?.Invoke(reason);
        }
    }

    private void Watch()
    {
        var lockPoll = TimeSpanToTicks(_options.LockPollInterval);
        var heartbeat = TimeSpanToTicks(_options.HeartbeatInterval);
        var deadAfter = TimeSpanToTicks(_options.DeadAfter);
        var nextPoll = 0L;
        var nextPing = 0L;
        var lastRound = Stopwatch.GetTimestamp();
        while (!_stopping && !IsFenced)
        {
            try
            {
                var checkNow = Receive(Math.Max(0, Math.Min(nextPoll, nextPing) - Stopwatch.GetTimestamp()));
                var now = Stopwatch.GetTimestamp();
                var wasAsleep = now - lastRound > deadAfter / 2;
                lastRound = now;
                if (checkNow || wasAsleep || now >= nextPoll)
                {
                    Publish(_table.Read());
                    if (IsFenced)
                        return;
                    CheckLocks();
                    nextPoll = now + lockPoll;
                }

                if (wasAsleep)
                    _lastHeard.Clear();
                if (now >= nextPing)
                {
                    JudgeSilence(now, deadAfter);
                    Announce();
                    nextPing = now + heartbeat;
                }
            }
            catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or OrleansException)
            {
                // The directory is in trouble, perhaps for a moment. The silo goes on with the snapshot it has.
                LogDirectoryTrouble(_directory.Root, exception);
                nextPoll = nextPing = Stopwatch.GetTimestamp() + lockPoll;
            }
        }
    }

    /// <summary>
    /// Waits for datagrams and handles all that are there. Returns whether one of them calls for a look at table and
    /// locks.
    /// </summary>
    private bool Receive(long waitTicks)
    {
        var socket = _socket!;
        var microseconds = (int)Math.Min(100_000, waitTicks * 1_000_000 / Stopwatch.Frequency);
        if (!socket.Poll(microseconds, SelectMode.SelectRead))
            return false;
        var checkNow = false;
        Span<byte> datagram = stackalloc byte[DatagramBytes + 1];
        while (true)
        {
            var length = socket.Receive(datagram, SocketFlags.None, out var error);
            if (error != SocketError.Success)
                return checkNow;
            if (length != DatagramBytes || BinaryPrimitives.ReadUInt32LittleEndian(datagram) != DatagramMagic)
                continue;
            var sender = SiloAddress.New(
                System.Net.IPAddress.Loopback,
                BinaryPrimitives.ReadUInt16LittleEndian(datagram[8..]),
                BinaryPrimitives.ReadInt32LittleEndian(datagram[12..]));
            var version = BinaryPrimitives.ReadInt64LittleEndian(datagram[16..]);
            checkNow |= datagram[4] == Nudge || version > CurrentSnapshot.Version.Value;
            if (!CurrentSnapshot.Members.ContainsKey(sender))
                continue;
            _lastHeard[sender] = Stopwatch.GetTimestamp();
            _seenVersions[sender] = version;
            if (datagram[4] == Ping)
                Send(sender, Pong);
        }
    }

    private void CheckLocks()
    {
        foreach (var member in Others())
        {
            if (!FileLock.IsHeld(_directory.LifeLock(member.SiloAddress)))
                DeclareDead(member.SiloAddress, "its process has ended");
        }
    }

    private void JudgeSilence(long now, long deadAfter)
    {
        foreach (var member in Others())
        {
            if (!_lastHeard.TryGetValue(member.SiloAddress, out var heard))
                _lastHeard[member.SiloAddress] = now;
            else if (now - heard > deadAfter)
                DeclareDead(member.SiloAddress, $"it did not answer {_local} for {_options.DeadAfter.TotalSeconds:0.#} s");
        }

        foreach (var gone in _lastHeard.Keys.Where(silo => CurrentSnapshot.GetSiloStatus(silo) is SiloStatus.Dead or SiloStatus.None).ToList())
        {
            _lastHeard.Remove(gone);
            _seenVersions.TryRemove(gone, out _);
            lock (_endpoints)
                _endpoints.Remove(gone);
        }
    }

    private void DeclareDead(SiloAddress silo, string reason)
    {
        var image = _table.SetStatus(silo, SiloStatus.Dead, reason);
        Publish(image);
        Announce();
        LogDeclaredDead(silo, image.Find(silo)?.Reason ?? reason);
    }

    private void Announce()
    {
        foreach (var member in Others())
            Send(member.SiloAddress, Ping);
    }

    private void Send(SiloAddress receiver, byte kind)
    {
        Span<byte> datagram = stackalloc byte[DatagramBytes];
        datagram.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(datagram, DatagramMagic);
        datagram[4] = kind;
        BinaryPrimitives.WriteUInt16LittleEndian(datagram[8..], (ushort)Local.Endpoint.Port);
        BinaryPrimitives.WriteInt32LittleEndian(datagram[12..], Local.Generation);
        BinaryPrimitives.WriteInt64LittleEndian(datagram[16..], CurrentSnapshot.Version.Value);
        try
        {
            UnixDomainSocketEndPoint? endpoint;
            lock (_endpoints)
            {
                if (!_endpoints.TryGetValue(receiver, out endpoint))
                    _endpoints[receiver] = endpoint = new UnixDomainSocketEndPoint(_directory.HeartbeatSocket(receiver));
            }

            _socket?.SendTo(datagram, SocketFlags.None, endpoint);
        }
        catch (Exception exception) when (exception is SocketException or ObjectDisposedException)
        {
            // A silo that is gone, is not there yet or does not read its socket. All three are judged by silence and by
            // the lock, not by this.
            LogHeartbeatNotSent(receiver, exception.Message);
        }
    }

    private IEnumerable<ClusterMember> Others() =>
        CurrentSnapshot.Members.Values.Where(member => member.Status != SiloStatus.Dead && !member.SiloAddress.Equals(_local));

    private static long TimeSpanToTicks(TimeSpan span) => (long)(span.TotalSeconds * Stopwatch.Frequency);

    [LoggerMessage(Level = LogLevel.Information,
        Message = "Silo {Name} joined as {Silo} in {Directory}. The embedded actor host serves one machine.")]
    private partial void LogJoined(string name, SiloAddress silo, string directory);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Silo {Silo} is dead: {Reason}.")]
    private partial void LogDeclaredDead(SiloAddress silo, string reason);

    [LoggerMessage(Level = LogLevel.Critical,
        Message = "This silo, {Silo}, was declared dead: {Reason}. It fences itself and stops; restart its process.")]
    private partial void LogFenced(SiloAddress silo, string reason);

    [LoggerMessage(Level = LogLevel.Error,
        Message = "The cluster directory {Directory} cannot be read or written; membership stands still until it can.")]
    private partial void LogDirectoryTrouble(string directory, Exception exception);

    [LoggerMessage(Level = LogLevel.Debug, Message = "No heartbeat could be sent to {Silo}: {Reason}")]
    private partial void LogHeartbeatNotSent(SiloAddress silo, string reason);
}
