using Hotpot.Grains.Membership;

namespace Hotpot.Grains.Barrier;

/// <summary>
/// One generation of a barrier: open until it is complete or broken, and then over for ever. Its caller serialises the calls.
/// </summary>
internal sealed class BarrierRound(long generation, IReadOnlyDictionary<Guid, BarrierRound.Place> expected)
{
    private readonly TaskCompletionSource<long> _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Dictionary<Guid, Place> _arrived = [];

    // Written by the first arrival.
    private int _participants;

    /// <summary>Where a participant runs; no silo for a client, whose death is not noticed.</summary>
    public readonly record struct Place(NodeId Node, SiloAddress? Silo);

    public long Generation { get; } = generation;

    public Task<long> Completion => _completion.Task;

    public bool IsOver => _completion.Task.IsCompleted;

    public int Arrived => _arrived.Count;

    /// <summary>Counts an arrival; the last one completes the round. Numbers that do not agree break it for all.</summary>
    public void Arrive(Guid participant, int participants, NodeId node, SiloAddress? silo)
    {
        if (_arrived.Count == 0)
            _participants = participants;
        if (participants != _participants)
        {
            Break($"The participants do not agree on their number: one said {_participants}, another {participants}; give the same number everywhere.");
            return;
        }
        _arrived[participant] = new Place(node, silo);
        if (_arrived.Count == _participants)
            _completion.TrySetResult(Generation);
    }

    /// <summary>A participant does not wait any more. Too late when the round is over.</summary>
    public void Withdraw(Guid participant)
    {
        if (!IsOver)
            _arrived.Remove(participant);
    }

    public void Break(string reason) => _completion.TrySetException(new BarrierBrokenException(reason));

    /// <summary>A node that has lost the life in which one of this round's participants, or of the expected ones, ran.</summary>
    public NodeId? FindLost(ClusterNodes nodes)
    {
        if (IsOver || _arrived.Count == 0)
            return null;
        foreach (Place place in _arrived.Values.Concat(expected.Values))
        {
            if (place.Silo is { } silo && nodes.IsDead(place.Node, silo))
                return place.Node;
        }
        return null;
    }

    /// <summary>The round after this one. It expects the same participants if this one was completed, and nobody if it was broken.</summary>
    public BarrierRound Next() => new(Generation + 1, _completion.Task.IsCompletedSuccessfully ? _arrived : new Dictionary<Guid, Place>());
}
