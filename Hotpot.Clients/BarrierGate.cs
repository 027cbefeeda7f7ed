namespace Hotpot.Clients;

// The way of this process's participants to one barrier.
//
// A barrier of many participants on few nodes costs the calls that its grain takes, one after the other. So those of one process go together: the gate knows how many
// came through it in the generations before, and holds who comes until that many are here. It never waits for time to pass: the first one of a party also queues its
// departure behind everything that the thread pool had to do by then, which is where those come from whom the last generation released. Who comes later goes alone or
// with others.
//
// One that may be cancelled, or waits for another time than the party does, goes alone, because a party has one time and nobody who takes it back.
internal sealed class BarrierGate(IBarrierGrain grain, int participants, NodeId node)
{
    private readonly Lock _lock = new();

    // All of these are written under the lock.
    private Party? _gathering;
    private long _generation;
    private int _passed;
    private int _passedBefore;

    public int Participants { get; } = participants;

    /// <summary>Returns the generation that was completed when all of it have arrived; throws as <see cref="IBarrierGrain"/> does.</summary>
    public async Task<long> ArriveAsync(Guid participant, TimeSpan timeout, CancellationToken cancellationToken)
    {
        while (!cancellationToken.CanBeCanceled && Join(participant, timeout) is var (party, place))
        {
            BarrierPassage passage = await party.Passage.ConfigureAwait(false);
            if (place < passage.Taken)
                return passage.Generation;
            // More came than the generation lacked, so this one belongs to the next.
        }
        return await ArriveAloneAsync(participant, timeout, cancellationToken).ConfigureAwait(false);
    }

    private async Task<long> ArriveAloneAsync(Guid participant, TimeSpan timeout, CancellationToken cancellationToken)
    {
        BarrierArrival arrival = new() { Participants = Participants, Participant = participant, Node = node, Timeout = timeout };
        long generation = await grain.ArriveAsync(arrival, cancellationToken).ConfigureAwait(false);
        CountPassed(generation, 1);
        return generation;
    }

    /// <summary>The party to wait for and one's place in it; null for one that goes alone.</summary>
    private (Party Party, int Place)? Join(Guid participant, TimeSpan timeout)
    {
        Party party;
        int place;
        bool complete, first;
        lock (_lock)
        {
            int expected = Math.Max(_passed, _passedBefore);
            first = _gathering is null;
            if (first ? expected < 2 : _gathering!.Timeout != timeout)
                return null;
            party = _gathering ??= new Party(this, timeout);
            place = party.Arrivals.Count;
            party.Arrivals.Add(participant);
            complete = party.Arrivals.Count >= expected;
            if (complete)
                _gathering = null;
        }
        if (complete)
            _ = DepartAsync(party);
        else if (first)
            ThreadPool.UnsafeQueueUserWorkItem(party, preferLocal: false);
        return (party, place);
    }

    private void DepartWithThoseHere(Party party)
    {
        lock (_lock)
        {
            if (_gathering != party)
                return;
            _gathering = null;
        }
        _ = DepartAsync(party);
    }

    // Every end of it reaches those who wait for the party.
    private async Task DepartAsync(Party party)
    {
        try
        {
            BarrierParty request = new() { Participants = Participants, Arrivals = [.. party.Arrivals], Node = node, Timeout = party.Timeout };
            BarrierPassage passage = await grain.ArriveTogetherAsync(request).ConfigureAwait(false);
            CountPassed(passage.Generation, passage.Taken);
            party.Completion.SetResult(passage);
        }
        catch (Exception error)
        {
            party.Completion.SetException(error);
        }
    }

    private void CountPassed(long generation, int count)
    {
        lock (_lock)
        {
            if (generation != _generation)
                (_generation, _passedBefore, _passed) = (generation, _passed, 0);
            _passed += count;
        }
    }

    // Who gathers is written under the gate's lock, until the party departs.
    private sealed class Party(BarrierGate gate, TimeSpan timeout) : IThreadPoolWorkItem
    {
        public TimeSpan Timeout { get; } = timeout;

        public List<Guid> Arrivals { get; } = [];

        public TaskCompletionSource<BarrierPassage> Completion { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task<BarrierPassage> Passage => Completion.Task;

        public void Execute() => gate.DepartWithThoseHere(this);
    }
}
