using Microsoft.Extensions.Logging;

namespace Hotpot.Actors;

// Which silo has the activation of a grain.
//
// Problem. A grain must have at most one activation in the cluster, and callers everywhere must find it.
//
// Scheme. Every grain id has an owner among the active silos: the one whose hash together with the id's is highest, so
// a silo that comes or goes moves only the ids it owns itself. The owner's word decides where a grain is activated: a
// silo activates a grain only after the owner registered it there. The truth, though, is in the catalogs of the silos,
// and an owner's table is only its memory of them. An owner that has no entry asks all living silos whether they have
// the grain before it accepts a new place. That is one message to each silo per new activation, which one machine can
// afford, and it replaces any handing over of tables when owners change.
//
// Normal case. A caller finds the silo in its cache and sends straight to it. The cache may be stale; then the receiver
// has no such activation, asks the owner, and passes the call on, and the answer teaches the caller.
//
// Silo death. Entries that name a dead silo count as absent. An owner that dies takes its table along; its successor
// asks around.
//
// A silo that cannot be asked may have the grain. So the owner waits until it answers or is declared dead; it never
// assumes.
//
// Potential weakness. For a moment two silos with different snapshots can both take themselves for the owner, and
// register two places. Each change of membership therefore makes every silo confirm its activations with the owner it
// sees now, and one of the two is ended. Until then the ETags of grain storage keep the second from writing. A grain
// without stored state has no such guard; grains here that have none are bound to one node by their placement.
internal sealed partial class GrainDirectory(Silo silo, ILogger logger)
{
    private static readonly TimeSpan AskAgainAfter = TimeSpan.FromMilliseconds(20);

    private readonly Lock _gate = new();

    // Guarded by _gate: the entries this silo keeps as owner, and the registrations that are being decided.
    private readonly Dictionary<GrainId, SiloAddress> _entries = [];
    private readonly Dictionary<GrainId, Task<SiloAddress>> _deciding = [];

    /// <summary>The owner of the entry, or null when no silo is active.</summary>
    public static SiloAddress? OwnerOf(GrainId grain, ClusterMembershipSnapshot snapshot)
    {
        SiloAddress? owner = null;
        var best = 0u;
        var hash = grain.GetUniformHashCode();
        foreach (var (address, member) in snapshot.Members)
        {
            if (member.Status != SiloStatus.Active)
                continue;
            var weight = Mix(hash ^ unchecked((uint)address.GetConsistentHashCode()));
            if (owner is null || weight > best || (weight == best && address.CompareTo(owner) > 0))
                (owner, best) = (address, weight);
        }

        return owner;
    }

    /// <summary>
    /// Asks the owner to register the grain at the proposed silo. Returns where it is, which may be elsewhere; null
    /// when the proposed silo is not active, and another has to be proposed.
    /// </summary>
    public async Task<SiloAddress?> RegisterAsync(GrainId grain, SiloAddress proposed, CancellationToken cancellationToken)
    {
        while (true)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var snapshot = silo.Membership.CurrentSnapshot;
            if (!IsActive(proposed, snapshot))
                return null;
            var owner = OwnerOf(grain, snapshot)
                ?? throw new SiloUnavailableException("No silo of the cluster is active; start one, or wait until one has started.");
            try
            {
                var answer = owner.Equals(silo.SiloAddress)
                    ? await DecideAsync(grain, proposed, cancellationToken)
                    : await silo.AskAsync<SiloAnswer>(
                        owner, SystemOperation.Register, new RegisterQuestion(grain, proposed, snapshot.Version.Value), cancellationToken);
                if (answer.Silo is { } place)
                    return place;
                await silo.Membership.Refresh(new MembershipVersion(answer.Version), cancellationToken);
            }
            catch (SiloUnavailableException exception)
            {
                // The owner is going or gone. Registering is safe to repeat, so another owner is asked as soon as there
                // is one.
                LogOwnerUnreachable(owner, exception.Message);
                silo.Membership.CheckNow();
                await Task.Delay(AskAgainAfter, cancellationToken);
            }
        }
    }

    /// <summary>Handles the question of another silo.</summary>
    public async Task<SiloAnswer> RegisterAsync(RegisterQuestion question, CancellationToken cancellationToken)
    {
        if (silo.Membership.CurrentSnapshot.Version.Value < question.Version)
            await silo.Membership.Refresh(new MembershipVersion(question.Version), cancellationToken);
        return await DecideAsync(question.Grain, question.Proposed, cancellationToken);
    }

    /// <summary>The activation at the silo has ended.</summary>
    public void Unregister(GrainId grain, SiloAddress place)
    {
        lock (_gate)
        {
            if (_entries.TryGetValue(grain, out var known) && known.Equals(place))
                _entries.Remove(grain);
        }
    }

    /// <summary>
    /// Drops what a new snapshot has made void: entries at dead silos, and entries that have another owner now.
    /// </summary>
    public void OnMembershipChanged(ClusterMembershipSnapshot snapshot)
    {
        lock (_gate)
        {
            foreach (var (grain, place) in _entries.ToList())
            {
                if (!IsActive(place, snapshot) || OwnerOf(grain, snapshot) != silo.SiloAddress)
                    _entries.Remove(grain);
            }
        }
    }

    private static bool IsActive(SiloAddress place, ClusterMembershipSnapshot snapshot) =>
        snapshot.Members.TryGetValue(place, out var member) && member.Status == SiloStatus.Active;

    private static uint Mix(uint value)
    {
        value ^= value >> 16;
        value *= 0x7feb352du;
        value ^= value >> 15;
        value *= 0x846ca68bu;
        return value ^ (value >> 16);
    }

    private async Task<SiloAnswer> DecideAsync(GrainId grain, SiloAddress proposed, CancellationToken cancellationToken)
    {
        Task<SiloAddress> deciding;
        lock (_gate)
        {
            var snapshot = silo.Membership.CurrentSnapshot;
            if (OwnerOf(grain, snapshot) != silo.SiloAddress)
                return new SiloAnswer(null, snapshot.Version.Value);
            if (_entries.TryGetValue(grain, out var known) && IsActive(known, snapshot))
                return new SiloAnswer(known, snapshot.Version.Value);
            if (!_deciding.TryGetValue(grain, out deciding!))
                _deciding[grain] = deciding = Task.Run(() => AskAroundAsync(grain, proposed), CancellationToken.None);
        }

        return new SiloAnswer(await deciding.WaitAsync(cancellationToken), silo.Membership.CurrentSnapshot.Version.Value);
    }

    private async Task<SiloAddress> AskAroundAsync(GrainId grain, SiloAddress proposed)
    {
        using var limit = new CancellationTokenSource(silo.ResponseTimeout);
        try
        {
            var others = silo.Membership.CurrentSnapshot.Members.Values
                .Where(member => member.Status != SiloStatus.Dead)
                .Select(member => HoldsAsync(member.SiloAddress, grain, limit.Token));
            var holders = await Task.WhenAll(others);
            var place = holders.FirstOrDefault(holder => holder is not null) ?? proposed;
            lock (_gate)
            {
                var snapshot = silo.Membership.CurrentSnapshot;
                if (!IsActive(place, snapshot))
                    throw new SiloUnavailableException($"{place} was chosen for {grain} but is no longer active; call again.");
                _entries[grain] = place;
                return place;
            }
        }
        finally
        {
            lock (_gate)
                _deciding.Remove(grain);
        }
    }

    /// <summary>Returns the silo if it has the grain. Waits for a silo that neither answers nor is dead.</summary>
    private async Task<SiloAddress?> HoldsAsync(SiloAddress other, GrainId grain, CancellationToken cancellationToken)
    {
        while (true)
        {
            try
            {
                var holds = other.Equals(silo.SiloAddress)
                    ? await silo.Catalog.HoldsAsync(grain, cancellationToken)
                    : (await silo.AskAsync<HoldsAnswer>(other, SystemOperation.Holds, new HoldsQuestion(grain), cancellationToken)).Holds;
                return holds ? other : null;
            }
            catch (SiloUnavailableException exception)
            {
                if (silo.Membership.CurrentSnapshot.GetSiloStatus(other) is SiloStatus.Dead or SiloStatus.None)
                    return null;
                LogOwnerUnreachable(other, exception.Message);
                silo.Membership.CheckNow();
                await Task.Delay(AskAgainAfter, cancellationToken);
            }
        }
    }

    [LoggerMessage(Level = LogLevel.Debug, Message = "{Silo} could not be asked about a grain: {Reason}")]
    private partial void LogOwnerUnreachable(SiloAddress silo, string reason);
}

/// <summary>What silos ask each other. The numbers are the wire format.</summary>
internal enum SystemOperation : byte
{
    Register = 1,
    Unregister = 2,
    Holds = 3,
}

[GenerateSerializer]
internal sealed record RegisterQuestion(GrainId Grain, SiloAddress Proposed, long Version);

/// <summary>No silo means: not the owner in the version given.</summary>
[GenerateSerializer]
internal sealed record SiloAnswer(SiloAddress? Silo, long Version);

[GenerateSerializer]
internal sealed record UnregisterQuestion(GrainId Grain, SiloAddress Place);

[GenerateSerializer]
internal sealed record HoldsQuestion(GrainId Grain);

[GenerateSerializer]
internal sealed record HoldsAnswer(bool Holds);
