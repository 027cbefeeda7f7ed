using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Hotpot.Actors;

// A silo of the embedded actor host: its parts, and the order in which they start and stop.
//
//   MembershipAgent  who is in the cluster; it alone decides nothing, the membership table does
//   SiloEndpoint     the socket, and what arrives on it
//   ConnectionPool   the connections to other silos
//   GrainDirectory   where a grain is
//   Catalog          the activations here
//   Router           brings a call to its activation
//   CallClock        ends calls whose time is over
//
// Start: join as Joining and listen (RuntimeInitialize), ... , become Active (BecomeActive). Stop: leave the ring as
// ShuttingDown, so that nothing new is placed here; end all activations, which the others then create anew on demand;
// and at last be Dead in the table and close the connections. Calls that arrive in between are passed on.
//
// Fenced: the silo was declared dead while it lived. Every call in it ends, its connections close, and the host is told
// to stop. The last snapshot of the membership service shows the silo itself as Dead, so code that watches membership
// learns it in the same way on every host.
internal sealed partial class Silo : ILocalSiloDetails, ICallRouter, IDisposable
{
    // How long a stop waits for others to take notice and for answers to pass through, beyond the time its own grains
    // need.
    private static readonly TimeSpan DrainTime = TimeSpan.FromSeconds(2);

    private readonly SiloLifecycle _lifecycle = new();
    private readonly IHostApplicationLifetime? _host;
    private readonly ILogger _logger;
    private readonly SiloEndpoint _endpoint;

    // Written by OnMembershipChanged, of which one runs at a time: the last confirmation, and the snapshot whose owners the
    // activations were last confirmed with.
    private Task _confirming = Task.CompletedTask;
    private ClusterMembershipSnapshot _confirmed;

    // Written by Dispose.
    private int _stopped;

    public Silo(
        IServiceProvider services,
        IOptions<SiloOptions> silo,
        IOptions<ClusterOptions> cluster,
        IOptions<SiloMessagingOptions> messaging,
        IOptions<EmbeddedClusteringOptions> clustering,
        ILoggerFactory loggers)
    {
        Services = services;
        Name = string.IsNullOrWhiteSpace(silo.Value.SiloName) ? $"silo-{Environment.ProcessId}" : silo.Value.SiloName;
        ClusterId = cluster.Value.ClusterId;
        ServiceId = cluster.Value.ServiceId;
        ResponseTimeout = messaging.Value.ResponseTimeout;
        _host = services.GetService<IHostApplicationLifetime>();
        _logger = loggers.CreateLogger("Hotpot.Actors.Silo");
        var directory = new ClusterDirectory(clustering.Value.Directory);
        Membership = new MembershipAgent(
            directory, new MembershipTable(directory, ClusterId, ServiceId), clustering.Value, loggers.CreateLogger("Hotpot.Actors.Membership"));
        _confirmed = Membership.CurrentSnapshot;
        Membership.Changed += OnMembershipChanged;
        Membership.Fenced += OnFenced;
        Clock = new CallClock();
        Classes = new GrainClasses();
        Catalog = new Catalog(this, loggers);
        Directory = new GrainDirectory(this, loggers.CreateLogger("Hotpot.Actors.Directory"));
        Router = new Router(this);
        GrainFactory = new GrainFactory(this, Clock, services);
        _endpoint = new SiloEndpoint(this, directory, loggers.CreateLogger("Hotpot.Actors.Endpoint"));
        Connections = new ConnectionPool((address, token) => Connector.ConnectAsync(
            directory, address, new Handshake.Hello(ClusterId, ServiceId, SiloAddress), _endpoint, token));
    }

    public string Name { get; }

    public string ClusterId { get; }

    public string ServiceId { get; }

    public SiloAddress SiloAddress => Membership.Local;

    public bool IsFenced => Membership.IsFenced;

    public bool HasStopped => Volatile.Read(ref _stopped) != 0;

    public TimeSpan ResponseTimeout { get; }

    public IServiceProvider Services { get; }

    public MembershipAgent Membership { get; }

    public CallClock Clock { get; }

    public GrainClasses Classes { get; }

    public Catalog Catalog { get; }

    public GrainDirectory Directory { get; }

    public Router Router { get; }

    public ConnectionPool Connections { get; }

    public GrainFactory GrainFactory { get; }

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        _lifecycle.Subscribe("membership", ServiceLifecycleStage.RuntimeInitialize, JoinAsync, LeaveAsync);
        _lifecycle.Subscribe("grains", ServiceLifecycleStage.GrainDeactivation, _ => Task.CompletedTask, DeactivateGrainsAsync);
        _lifecycle.Subscribe(
            "status",
            ServiceLifecycleStage.BecomeActive,
            token => AnnounceAsync(SiloStatus.Active, token),
            token => AnnounceAsync(SiloStatus.ShuttingDown, token));
        foreach (var participant in Services.GetServices<ILifecycleParticipant<ISiloLifecycle>>())
            participant.Participate(_lifecycle);
        try
        {
            await _lifecycle.StartAsync(cancellationToken).ConfigureAwait(false);
        }
        catch
        {
            await _lifecycle.StopAsync(CancellationToken.None).ConfigureAwait(false);
            throw;
        }

        LogActive(Name, SiloAddress);
    }

    public Task StopAsync(CancellationToken cancellationToken) => _lifecycle.StopAsync(cancellationToken);

    public void Dispose()
    {
        Volatile.Write(ref _stopped, 1);
        Clock.Dispose();
        Connections.Dispose();
        _endpoint.Dispose();
        Membership.Dispose();
    }

    public GrainId Resolve(InterfaceShape grainInterface, string key) => GrainId.Create(Classes.Get(grainInterface).Class.GrainType, key);

    public void Start(OutgoingCall call)
    {
        call.Class = Classes.Get(call.Shape.Interface).Class;
        call.Learn = Router.Learn;
        Router.Dispatch(call, runHere: false);
    }

    public void Learn(GrainId grain, SiloAddress place) => Router.Learn(grain, place);

    public void ForgetPlace(GrainId grain) => Router.Forget(grain);

    public void Finished(Connection from, IncomingCall call) => _endpoint.Finished(from, call);

    /// <summary>
    /// Asks another silo. A broken connection is a <see cref="SiloUnavailableException"/>; the questions may be asked
    /// again.
    /// </summary>
    public async Task<TAnswer> AskAsync<TAnswer>(SiloAddress other, SystemOperation operation, object question, CancellationToken cancellationToken)
    {
        var connection = await Connections.GetAsync(other, cancellationToken).ConfigureAwait(false);
        return await SystemCall<TAnswer>.AskAsync(connection, operation, question, cancellationToken).ConfigureAwait(false);
    }

    public async Task<object> AnswerAsync(SystemQuestion question, CancellationToken cancellationToken)
    {
        switch (question.Operation)
        {
            case SystemOperation.Register:
                return await Directory.RegisterAsync(question.Content<RegisterQuestion>(), cancellationToken).ConfigureAwait(false);
            case SystemOperation.Unregister:
                var gone = question.Content<UnregisterQuestion>();
                Directory.Unregister(gone.Grain, gone.Place);
                return new HoldsAnswer(null);
            case SystemOperation.Holds:
                return new HoldsAnswer(await Catalog.ClaimAsync(question.Content<HoldsQuestion>().Grain, cancellationToken).ConfigureAwait(false));
            default:
                throw new BadFrameException($"A silo asked for operation {(byte)question.Operation}.");
        }
    }

    public async Task UnregisterAsync(GrainId grain, CancellationToken cancellationToken)
    {
        var owner = GrainDirectory.OwnerOf(grain, Membership.CurrentSnapshot);
        if (owner is null || IsFenced)
            return;
        var question = new UnregisterQuestion(grain, SiloAddress);
        if (owner.Equals(SiloAddress))
            Directory.Unregister(grain, SiloAddress);
        else
            await AskAsync<HoldsAnswer>(owner, SystemOperation.Unregister, question, cancellationToken).ConfigureAwait(false);
    }

    private Task JoinAsync(CancellationToken cancellationToken) => Task.Run(
        () =>
        {
            Membership.Join(Name);
            _endpoint.Listen();
        },
        cancellationToken);

    private async Task LeaveAsync(CancellationToken cancellationToken)
    {
        if (!IsFenced)
        {
            // Calls that were sent here while the grains were still here are being passed on; their answers go through
            // this silo.
            using (var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken))
            {
                limit.CancelAfter(DrainTime);
                await _endpoint.DrainAsync(limit.Token).ConfigureAwait(false);
            }

            await Task.Run(Membership.Leave, CancellationToken.None).ConfigureAwait(false);
        }

        Dispose();
        LogStopped(Name);
    }

    /// <summary>
    /// Moves on, and waits until the others know. So a silo that has started is there for everyone, and to one that
    /// begins to stop nobody sends any more by what it remembers.
    /// </summary>
    private async Task AnnounceAsync(SiloStatus status, CancellationToken cancellationToken)
    {
        if (IsFenced)
            return;
        await Task.Run(() => Membership.SetStatus(status), cancellationToken).ConfigureAwait(false);
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(DrainTime);
        await Membership.WaitUntilSeenAsync(limit.Token).ConfigureAwait(false);
    }

    private async Task DeactivateGrainsAsync(CancellationToken cancellationToken)
    {
        var reason = new DeactivationReason(DeactivationReasonCode.ShuttingDown, "The silo stops.");
        if (IsFenced)
        {
            // Their requests wait for others that do not answer any more, and nobody waits for theirs.
            Catalog.BeginDeactivateAll(reason);
            return;
        }

        try
        {
            await Catalog.DeactivateAllAsync(reason, cancellationToken).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            LogGrainsLeft(Catalog.Count);
        }
    }

    /// <summary>Runs on the thread that read the table, so everything that may wait goes to the pool.</summary>
    private void OnMembershipChanged(ClusterMembershipSnapshot snapshot)
    {
        Directory.OnMembershipChanged(snapshot);
        var dead = snapshot.Members.Values.Where(member => member.Status == SiloStatus.Dead).Select(member => member.SiloAddress).ToList();
        _ = Task.Run(() =>
        {
            foreach (var silo in dead)
            {
                var reason = new SiloUnavailableException($"{silo} is dead.");
                Connections.Close(silo, reason);
                _endpoint.CloseFrom(silo, reason);
            }
        });
        _confirming = ConfirmAsync(_confirming, snapshot);
    }

    private async Task ConfirmAsync(Task previous, ClusterMembershipSnapshot snapshot)
    {
        await previous.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing | ConfigureAwaitOptions.ForceYielding);
        if (IsFenced || snapshot.Version < Membership.CurrentSnapshot.Version)
            return;
        try
        {
            using var limit = new CancellationTokenSource(ResponseTimeout);
            await Catalog.ConfirmAllAsync(_confirmed, snapshot, limit.Token).ConfigureAwait(false);
            _confirmed = snapshot;
        }
        catch (Exception exception) when (exception is OrleansException or OperationCanceledException)
        {
            // The next change of membership confirms again, from the last snapshot that was confirmed.
            LogNotConfirmed(snapshot.Version, exception.Message);
        }
    }

    private void OnFenced(string reason)
    {
        _ = Task.Run(() =>
        {
            Clock.FailAll($"The silo {SiloAddress} was declared dead ({reason}) and fenced itself; restart its process.");
            Connections.Dispose();
            _endpoint.Dispose();
            _host?.StopApplication();
        });
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Silo {Name} is active as {Silo}.")]
    private partial void LogActive(string name, SiloAddress silo);

    [LoggerMessage(Level = LogLevel.Information, Message = "Silo {Name} has stopped.")]
    private partial void LogStopped(string name);

    [LoggerMessage(Level = LogLevel.Warning,
        Message = "{Count} activations had not ended when the time to stop was over; their requests end with the silo.")]
    private partial void LogGrainsLeft(int count);

    [LoggerMessage(Level = LogLevel.Warning,
        Message = "The activations here could not be confirmed at membership version {Version}: {Reason}")]
    private partial void LogNotConfirmed(MembershipVersion version, string reason);
}

internal sealed class SiloHostedService(Silo silo) : IHostedService
{
    public Task StartAsync(CancellationToken cancellationToken) => silo.StartAsync(cancellationToken);

    public Task StopAsync(CancellationToken cancellationToken) => silo.StopAsync(cancellationToken);
}
