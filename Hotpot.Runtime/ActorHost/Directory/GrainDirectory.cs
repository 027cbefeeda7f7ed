using Microsoft.Extensions.Logging;

namespace Hotpot.Actors;

// Which silo has the activation of a grain.
//
// Problem. A grain must have at most one activation in the cluster, and callers everywhere must find it, also while silos
// come and go and do not all know it yet.
//
// Scheme. Every grain id has an owner among the active silos: the one whose hash together with the id's is highest, so
// a silo that comes or goes moves only the ids it owns itself. The owner's word decides where a grain is activated. The
// truth, though, is in the catalogs of the silos, and an owner's table is only its memory of them. An owner that has no
// entry asks all living silos whether they have the grain before it accepts a new place. That is one message to each
// silo per new activation, which one machine can afford, and it replaces any handing over of tables when owners change.
//
// Two silos with different snapshots can both take themselves for the owner. So an answer counts for one version of the
// membership, and an activation runs nothing before it has done this (ConfirmAsync):
//   1. it is in the catalog of its silo;
//   2. the newest table is read, and the owner by that table, or by a later one, names this silo: the answer's version is
//      its claim;
//   3. the table is read again, and its version is still that of the claim; else it begins again at 2.
// Owners that find several claims follow the highest one.
//
// Why that is enough. Let an activation run with claim v. An owner of a later version w asks around after w was
// written, so after step 3, finds the claim, and no higher one: a silo can only have got a higher one from an owner that
// asked later than v, and the first of those found v. An owner of v itself has the entry. An owner of an earlier version
// can still name another silo, but that silo then reads a newer table in step 2 or 3 and asks its owner.
// An owner's table is of one snapshot: what a change makes void goes, and all of it when a version was missed. An answer
// whose asking was overtaken by a change is thrown away and asked for again.
//
// Normal case. A caller finds the silo in its cache and sends straight to it. The cache may be stale; then the receiver
// has no such activation, asks the owner, and passes the call on, and the answer teaches the caller.
//
// Silo death. Entries that name a dead silo count as absent. An owner that dies takes its table along; its successor
// asks around. A silo that cannot be asked may have the grain. So the owner waits until it answers or is declared dead;
// it never assumes.
//
// Potential weakness. A silo that was declared dead while it stood still has its activations until it sees its
// tombstone. They may answer callers of the same process from what they remember; the ETags of grain storage keep them
// from writing.
internal sealed partial class GrainDirectory(Silo silo, ILogger logger)
{
    private static readonly TimeSpan AskAgainAfter = TimeSpan.FromMilliseconds(20);

    private readonly Lock _gate = new();

    // Guarded by _gate: the entries this silo keeps as owner, the registrations that are being decided, and the snapshot
    // that both belong to.
    private readonly Dictionary<GrainId, SiloAddress> _entries = [];
    private readonly Dictionary<GrainId, Task<SiloAnswer>> _deciding = [];
    private ClusterMembershipSnapshot _snapshot = new(
        System.Collections.Immutable.ImmutableDictionary<SiloAddress, ClusterMember>.Empty, new MembershipVersion(0));

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
    /// Asks the owner to register the grain at the proposed silo. Returns where it is, which may be elsewhere, and the
    /// version of the membership that this is true in; null when the proposed silo is not active, and another has to be
    /// proposed.
    /// </summary>
    public async Task<SiloAnswer?> RegisterAsync(GrainId grain, SiloAddress proposed, CancellationToken cancellationToken)
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
                if (answer.Silo is not null)
                    return answer;
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

    /// <summary>
    /// Makes sure that the activation is the only one, before it runs anything. False: it is elsewhere, or this silo is
    /// leaving, and the activation must go.
    /// </summary>
    public async Task<bool> ConfirmAsync(ActivationContext activation)
    {
        using var limit = new CancellationTokenSource(silo.ResponseTimeout);
        try
        {
            while (true)
            {
                await silo.Membership.Refresh(default, limit.Token);
                if (await RegisterAsync(activation.GrainId, silo.SiloAddress, limit.Token) is not { Silo: { } place } answer)
                    return false;
                if (!place.Equals(silo.SiloAddress))
                    return false;
                activation.Claim = answer.Version;
                await silo.Membership.Refresh(default, limit.Token);
                if (silo.Membership.CurrentSnapshot.Version.Value == answer.Version)
                    return true;
            }
        }
        catch (OperationCanceledException exception)
        {
            throw new SiloUnavailableException(
                $"Whether {activation.GrainId} is active elsewhere could not be learned within {silo.ResponseTimeout.TotalSeconds:0.###} s; call again.", exception);
        }
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
    /// Drops what a new snapshot has made void: entries at dead silos, and entries that have another owner now. Between
    /// two versions of which one was missed another silo may have been the owner, and have decided; so then all go.
    /// </summary>
    public void OnMembershipChanged(ClusterMembershipSnapshot snapshot)
    {
        lock (_gate)
        {
            if (snapshot.Version <= _snapshot.Version)
                return;
            var missed = snapshot.Version.Value > _snapshot.Version.Value + 1;
            _snapshot = snapshot;
            foreach (var (grain, place) in _entries.ToList())
            {
                if (missed || !IsActive(place, snapshot) || OwnerOf(grain, snapshot) != silo.SiloAddress)
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
        Task<SiloAnswer> deciding;
        lock (_gate)
        {
            if (OwnerOf(grain, _snapshot) != silo.SiloAddress)
                return new SiloAnswer(null, _snapshot.Version.Value);
            if (_entries.TryGetValue(grain, out var known))
                return new SiloAnswer(known, _snapshot.Version.Value);
            if (!_deciding.TryGetValue(grain, out deciding!))
                _deciding[grain] = deciding = Task.Run(() => AskAroundAsync(grain, proposed), CancellationToken.None);
        }

        return await deciding.WaitAsync(cancellationToken);
    }

    private async Task<SiloAnswer> AskAroundAsync(GrainId grain, SiloAddress proposed)
    {
        using var limit = new CancellationTokenSource(silo.ResponseTimeout);
        try
        {
            while (true)
            {
                ClusterMembershipSnapshot snapshot;
                lock (_gate)
                    snapshot = _snapshot;
                if (OwnerOf(grain, snapshot) != silo.SiloAddress)
                    return new SiloAnswer(null, snapshot.Version.Value);
                var asked = snapshot.Members.Values
                    .Where(member => member.Status != SiloStatus.Dead)
                    .Select(member => ClaimOfAsync(member.SiloAddress, grain, limit.Token));
                var claims = await Task.WhenAll(asked);
                var place = claims.OfType<(SiloAddress Silo, long Version)>().OrderByDescending(claim => claim.Version).FirstOrDefault().Silo ?? proposed;
                lock (_gate)
                {
                    // Who came meanwhile has not been asked, and another may be the owner and have decided already.
                    if (_snapshot != snapshot)
                        continue;
                    if (!IsActive(place, snapshot))
                        throw new SiloUnavailableException($"{place} was chosen for {grain} but is no longer active; call again.");
                    _entries[grain] = place;
                    return new SiloAnswer(place, snapshot.Version.Value);
                }
            }
        }
        finally
        {
            lock (_gate)
                _deciding.Remove(grain);
        }
    }

    /// <summary>The claim of a silo on the grain, if it has one. Waits for a silo that neither answers nor is dead.</summary>
    private async Task<(SiloAddress Silo, long Version)?> ClaimOfAsync(SiloAddress other, GrainId grain, CancellationToken cancellationToken)
    {
        while (true)
        {
            try
            {
                var claim = other.Equals(silo.SiloAddress)
                    ? await silo.Catalog.ClaimAsync(grain, cancellationToken)
                    : (await silo.AskAsync<HoldsAnswer>(other, SystemOperation.Holds, new HoldsQuestion(grain), cancellationToken)).Claim;
                return claim is { } version ? (other, version) : null;
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

/// <summary>Where a grain is in a version of the membership. No silo means: not the owner in that version.</summary>
[GenerateSerializer]
internal sealed record SiloAnswer(SiloAddress? Silo, long Version);

[GenerateSerializer]
internal sealed record UnregisterQuestion(GrainId Grain, SiloAddress Place);

[GenerateSerializer]
internal sealed record HoldsQuestion(GrainId Grain);

/// <summary>The claim of the activation here: the version in which it was confirmed, 0 before that; null: it is not here.</summary>
[GenerateSerializer]
internal sealed record HoldsAnswer(long? Claim);
