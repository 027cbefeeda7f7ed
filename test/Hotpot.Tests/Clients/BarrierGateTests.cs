using System.Reflection;
using Hotpot.Clients;
using Hotpot.Grains;

namespace Hotpot.Tests.Clients;

public sealed class BarrierGateTests
{
    private const int Participants = 8;
    private static readonly TimeSpan Long = TimeSpan.FromSeconds(40);

    // The grain: it completes a generation when its participants have come, and remembers the sizes of the calls. All under the lock of the first.
    private readonly List<int> _calls = [];
    private TaskCompletionSource _round = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _arrived;
    private int _alone;
    private long _generation = 1;
    private Exception? _failure;

    private readonly HotpotClient _client;

    public BarrierGateTests() => _client = new HotpotClient(Stub<IGrainFactory>.Answering((_, _) => Stub<IBarrierGrain>.Answering(Arrive)), node: null);

    [Fact]
    public async Task Those_who_meet_again_go_together()
    {
        DistributedBarrier[] crowd = Crowd(Participants);
        await MeetAsync(crowd, 1);
        Assert.Equal(Participants, _calls.Count);
        _calls.Clear();
        for (int generation = 2; generation <= 50; generation++)
            await MeetAsync(crowd, generation);
        Assert.Equal(49 * Participants, _calls.Sum());
        // One call each, but for those in which the pool was faster than this loop.
        Assert.InRange(_calls.Count, 49, 49 * Participants / 2);
        Assert.Equal(Participants, _alone);
    }

    [Fact]
    public async Task Nobody_waits_for_one_who_does_not_come_any_more()
    {
        DistributedBarrier[] crowd = Crowd(Participants);
        await MeetAsync(crowd, 1);
        _calls.Clear();
        Task<long> few = MeetAsync(crowd[..5], 2);
        await UntilAsync(() => _calls.Sum() == 5);
        Task<long> others = MeetAsync(crowd[5..], 2);
        await Task.WhenAll(few, others).WaitAsync(Long);
    }

    [Fact]
    public async Task More_than_a_generation_lacks_are_in_the_next()
    {
        DistributedBarrier[] crowd = Crowd(Participants);
        await MeetAsync(crowd, 1);
        // One from elsewhere has come already.
        _arrived = 1;
        _calls.Clear();
        Task<long>[] all = [.. crowd.Select(one => one.ArriveAndWaitAsync())];
        await UntilAsync(() => _arrived == 1 && all.Count(one => one.IsCompleted) == Participants - 1);
        Task<long> left = all.Single(one => !one.IsCompleted);
        Assert.All(all.Where(one => one != left), one => Assert.Equal(2, one.Result));
        await MeetAsync(Crowd(Participants - 1), 3);
        Assert.Equal(3, await left.WaitAsync(Long));
    }

    [Fact]
    public async Task One_that_may_be_cancelled_or_has_another_time_goes_alone()
    {
        DistributedBarrier[] crowd = Crowd(Participants);
        await MeetAsync(crowd, 1);
        using CancellationTokenSource cancellation = new();
        // Once is enough: where the pool was faster than this loop the first one has gone by itself, and the one with another time gathers those who come next.
        for (int round = 0; round < 50; round++)
        {
            int before = _alone;
            Task<long>[] all =
            [
                crowd[0].ArriveAndWaitAsync(), crowd[1].ArriveAndWaitAsync(TimeSpan.FromSeconds(50)), crowd[2].ArriveAndWaitAsync(cancellationToken: cancellation.Token),
                .. crowd[3..].Select(one => one.ArriveAndWaitAsync()),
            ];
            await Task.WhenAll(all).WaitAsync(Long);
            Assert.InRange(_alone - before, 1, Participants);
            if (_alone - before == 2)
                return;
        }
        Assert.Fail("In none of 50 rounds these two alone went alone.");
    }

    [Fact]
    public async Task An_error_reaches_all_of_a_party()
    {
        DistributedBarrier[] crowd = Crowd(Participants);
        await MeetAsync(crowd, 1);
        _failure = new BarrierBrokenException("Node 2 died.");
        foreach (Task<long> one in crowd.Select(one => one.ArriveAndWaitAsync()).ToArray())
            await Assert.ThrowsAsync<BarrierBrokenException>(() => one.WaitAsync(Long));
    }

    [Fact]
    public void Who_meets_at_one_barrier_uses_one_gate_and_gates_that_nobody_holds_are_let_go()
    {
        DistributedBarrier held = _client.Barrier("held", 2);
        WeakReference[] gone = [.. Enumerable.Range(0, 500).Select(Forgotten)];
        GC.Collect();
        Assert.DoesNotContain(gone, gate => gate.IsAlive);
        Assert.Same(held.Gate, _client.Barrier("held", 2).Gate);
        Assert.NotSame(held.Gate, _client.Barrier("held", 3).Gate);

        [System.Runtime.CompilerServices.MethodImpl(System.Runtime.CompilerServices.MethodImplOptions.NoInlining)]
        WeakReference Forgotten(int number) => new(_client.Barrier($"gone-{number}", 2).Gate);
    }

    private DistributedBarrier[] Crowd(int size) => [.. Enumerable.Range(0, size).Select(_ => _client.Barrier("crowd", Participants))];

    private static async Task<long> MeetAsync(DistributedBarrier[] crowd, long generation)
    {
        Assert.All(await Task.WhenAll(crowd.Select(one => one.ArriveAndWaitAsync())).WaitAsync(Long), passed => Assert.Equal(generation, passed));
        return generation;
    }

    private async Task UntilAsync(Func<bool> holds)
    {
        using CancellationTokenSource end = new(Long);
        while (true)
        {
            lock (_calls)
            {
                if (holds())
                    return;
            }
            await Task.Delay(1, end.Token);
        }
    }

    private object Arrive(MethodInfo method, object?[] arguments) => arguments[0] switch
    {
        BarrierArrival => AloneAsync(),
        BarrierParty party => TogetherAsync(party.Arrivals.Length),
        _ => throw new InvalidOperationException(method.Name),
    };

    private async Task<long> AloneAsync()
    {
        Interlocked.Increment(ref _alone);
        return (await TogetherAsync(1)).Generation;
    }

    private async Task<BarrierPassage> TogetherAsync(int arrivals)
    {
        BarrierPassage passage;
        Task over;
        lock (_calls)
        {
            _calls.Add(arrivals);
            if (_failure is not null)
                throw _failure;
            passage = new() { Generation = _generation, Taken = Math.Min(arrivals, Participants - _arrived) };
            _arrived += passage.Taken;
            over = _round.Task;
            if (_arrived == Participants)
            {
                (_arrived, _generation) = (0, _generation + 1);
                _round.SetResult();
                _round = new(TaskCreationOptions.RunContinuationsAsynchronously);
            }
        }
        await over;
        return passage;
    }
}
