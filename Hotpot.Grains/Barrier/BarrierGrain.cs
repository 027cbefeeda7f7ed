using Hotpot.Grains.Membership;

namespace Hotpot.Grains.Barrier;

// A named barrier.
//
// Scheme: BarrierRound holds one generation: who has arrived, and one completion that all of them wait for. The last arrival completes it and puts a new
// round in its place within the same turn, so an arrival for the next generation can never be counted for this one, however
// fast the participants come back.
//
// Death: the grain watches the membership from the first arrival on. A node on which a participant of this round, or of the one before it, ran and that has lost that
// life breaks the round: those who wait get BarrierBrokenException. The round before counts because its participants are the ones expected
// now; one that died between two rounds would otherwise be waited for in vain. Its death was told when nobody waited, so the first arrival of a round looks itself.
//
// Potential weakness: the rounds live in this activation. When its silo dies, those who wait get the host's error, as if a participant had died.
[Reentrant]
internal sealed class BarrierGrain(IClusterView cluster, TimeProvider time) : Grain, IBarrierGrain
{
    /// <summary>More than 64 nodes can sensibly run; a larger number is a mistake of the caller.</summary>
    private const int MaxParticipants = 1 << 16;

    // All are written by this grain's turns. The grain is reentrant: between two awaits a turn runs alone.
    private BarrierRound _round = new(1, new Dictionary<Guid, BarrierRound.Place>());
    private CancellationTokenSource? _watch;

    public async Task<long> ArriveAsync(BarrierArrival arrival, CancellationToken cancellationToken = default)
    {
        BarrierParty alone = new() { Participants = arrival.Participants, Arrivals = [arrival.Participant], Node = arrival.Node, Timeout = arrival.Timeout };
        return (await ArriveTogetherAsync(alone, cancellationToken)).Generation;
    }

    public async Task<BarrierPassage> ArriveTogetherAsync(BarrierParty party, CancellationToken cancellationToken = default)
    {
        if (party.Participants is < 1 or > MaxParticipants)
            throw new InvalidRequestException($"A barrier of {party.Participants} participants is not possible; give 1 to {MaxParticipants}.");
        if (party.Arrivals.Length == 0)
            throw new InvalidRequestException("Nobody arrives at the barrier in this call; name one participant at least.");
        ClusterNodes nodes = cluster.Current;
        nodes.Live.TryGetValue(party.Node, out SiloAddress? silo);
        if (!party.Node.IsNone && silo is null)
            throw new NodeUnavailableException($"Node {party.Node} is not an active member of the cluster; start its silo.");

        // No await before the end of this block: arriving and taking the next round's place are one step.
        BarrierRound round = _round;
        bool first = round.Arrived == 0;
        int taken = 0;
        while (taken < party.Arrivals.Length && !round.IsOver)
            round.Arrive(party.Arrivals[taken++], party.Participants, party.Node, silo);
        if (round.IsOver)
            _round = round.Next();
        else if (first)
            BreakIfLost(nodes);
        EnsureWatching();
        try
        {
            return new BarrierPassage { Generation = await round.Completion.WaitAsync(party.Timeout, time, cancellationToken), Taken = taken };
        }
        catch (TimeoutException)
        {
            int arrived = round.Arrived;
            Withdraw();
            throw new HotpotTimeoutException(
                $"Only {arrived} of {party.Participants} participants came to barrier '{this.GetPrimaryKeyString()}' within {party.Timeout}; check the others or wait longer.");
        }
        catch (OperationCanceledException)
        {
            Withdraw();
            throw;
        }

        void Withdraw()
        {
            foreach (Guid participant in party.Arrivals.AsSpan(0, taken))
                round.Withdraw(participant);
        }
    }

    public override Task OnDeactivateAsync(DeactivationReason reason, CancellationToken cancellationToken)
    {
        _watch?.Cancel();
        _watch?.Dispose();
        return Task.CompletedTask;
    }

    private void EnsureWatching()
    {
        if (_watch is not null)
            return;
        _watch = new CancellationTokenSource();
        _ = WatchAsync(_watch.Token);
    }

    private void BreakIfLost(ClusterNodes nodes)
    {
        if (_round.FindLost(nodes) is not { } lost)
            return;
        _round.Break($"Node {lost} died, on which a participant of barrier '{this.GetPrimaryKeyString()}' ran; start again with the ones that are left.");
        // Nobody is expected any more: who comes now begins afresh.
        _round = _round.Next();
    }

    // Detached, in this grain's turns; it ends with the activation.
    private async Task WatchAsync(CancellationToken cancellationToken)
    {
        try
        {
            await foreach (ClusterNodes nodes in cluster.WatchAsync(cancellationToken))
                BreakIfLost(nodes);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            return;
        }
    }
}
