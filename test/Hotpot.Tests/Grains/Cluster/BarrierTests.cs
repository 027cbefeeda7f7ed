#if HOTPOT_EMBEDDED
using Hotpot.Grains;
using static Hotpot.Tests.Grains.TestNodes;

namespace Hotpot.Tests.Grains.Cluster;

public sealed class BarrierTests
{
    private static readonly TimeSpan Long = TimeSpan.FromSeconds(40);

    private static BarrierArrival Arrival(NodeId node, int participants, Guid? participant = null) =>
        new() { Node = node, Participants = participants, Participant = participant ?? Guid.NewGuid(), Timeout = Long };

    [Fact]
    public async Task FastSuccessiveRoundsKeepEveryoneInStep()
    {
        await using HotpotCluster cluster = await HotpotCluster.StartAsync(A, B, C);
        const int rounds = 200;
        int[] finished = new int[3];
        await Task.WhenAll(Enumerable.Range(0, 3).Select(i => Task.Run(async () =>
        {
            IBarrierGrain barrier = cluster.Service<IGrainFactory>(All[i]).GetGrain<IBarrierGrain>("step");
            Guid participant = Guid.NewGuid();
            for (int round = 1; round <= rounds; round++)
            {
                Assert.Equal(round, await barrier.ArriveAsync(Arrival(All[i], 3, participant)));
                Volatile.Write(ref finished[i], round);
                // Nobody is more than one round behind one that has passed.
                Assert.All(finished, other => Assert.InRange(Volatile.Read(ref other), round - 1, round + 1));
            }
        }))).WaitAsync(Long);
    }

    [Fact]
    public async Task TheDeathOfAParticipantsNodeIsAnErrorToTheOthers()
    {
        await using HotpotCluster cluster = await HotpotCluster.StartAsync(A, B, C);
        IBarrierGrain barrier = cluster.Grains.GetGrain<IBarrierGrain>("step");
        Guid a = Guid.NewGuid(), c = Guid.NewGuid();
        await Task.WhenAll(barrier.ArriveAsync(Arrival(A, 2, a)), barrier.ArriveAsync(Arrival(C, 2, c))).WaitAsync(Long);
        Task<long> waiting = barrier.ArriveAsync(Arrival(A, 2, a));
        await cluster.KillAsync(C);
        Exception error = await Assert.ThrowsAnyAsync<Exception>(() => waiting.WaitAsync(Long));
        // When the barrier itself was on the dead silo, the host's error says so.
        Assert.True(error is BarrierBrokenException or SiloUnavailableException, error.ToString());
        Task<long>[] again = [barrier.ArriveAsync(Arrival(A, 2)), barrier.ArriveAsync(Arrival(B, 2))];
        await Task.WhenAll(again).WaitAsync(Long);
    }

    [Fact]
    public async Task ADeathWhileNobodyWaitsIsAnErrorToTheNextThatComes()
    {
        await using HotpotCluster cluster = await HotpotCluster.StartAsync(A, B, C);
        // Several, because those whose grain lives on the dead silo begin anew and know nobody.
        IBarrierGrain[] barriers = [.. Enumerable.Range(0, 8).Select(i => cluster.Grains.GetGrain<IBarrierGrain>($"step-{i}"))];
        Guid a = Guid.NewGuid(), c = Guid.NewGuid();
        foreach (IBarrierGrain barrier in barriers)
            await Task.WhenAll(barrier.ArriveAsync(Arrival(A, 2, a)), barrier.ArriveAsync(Arrival(C, 2, c))).WaitAsync(Long);
        await cluster.KillAsync(C);

        Exception[] errors = await Task.WhenAll(barriers.Select(
            barrier => Assert.ThrowsAnyAsync<Exception>(() => barrier.ArriveAsync(Arrival(A, 2, a) with { Timeout = TimeSpan.FromSeconds(10) }).WaitAsync(Long))));

        Assert.Contains(errors, error => error is BarrierBrokenException);
        Assert.All(errors, error => Assert.True(error is BarrierBrokenException or HotpotTimeoutException or SiloUnavailableException, error.ToString()));
    }

    [Fact]
    public async Task WrongNumbersAndLateComersGetClearErrors()
    {
        await using HotpotCluster cluster = await HotpotCluster.StartAsync(A);
        IBarrierGrain barrier = cluster.Grains.GetGrain<IBarrierGrain>("step");
        await Assert.ThrowsAsync<InvalidRequestException>(() => barrier.ArriveAsync(Arrival(A, 0)));
        await Assert.ThrowsAsync<NodeUnavailableException>(() => barrier.ArriveAsync(Arrival(D, 2)));
        await Assert.ThrowsAsync<HotpotTimeoutException>(() => barrier.ArriveAsync(Arrival(A, 2) with { Timeout = TimeSpan.FromMilliseconds(50) }));
        Task<long> waiting = barrier.ArriveAsync(Arrival(A, 2));
        await Assert.ThrowsAsync<BarrierBrokenException>(() => barrier.ArriveAsync(Arrival(A, 3)));
        await Assert.ThrowsAsync<BarrierBrokenException>(() => waiting);
        Task<long>[] next = [barrier.ArriveAsync(Arrival(A, 2)), barrier.ArriveAsync(Arrival(A, 2))];
        await Task.WhenAll(next).WaitAsync(Long);
    }

    [Fact]
    public async Task APartyIsTakenAsFarAsTheGenerationLacksIt()
    {
        await using HotpotCluster cluster = await HotpotCluster.StartAsync(A, B);
        IBarrierGrain barrier = cluster.Grains.GetGrain<IBarrierGrain>("step");
        await Assert.ThrowsAsync<InvalidRequestException>(() => barrier.ArriveTogetherAsync(Party(A, 3, 0)));
        Assert.Equal(new BarrierPassage { Generation = 1, Taken = 3 }, await barrier.ArriveTogetherAsync(Party(B, 3, 4)).WaitAsync(Long));
        Task<long> one = barrier.ArriveAsync(Arrival(A, 3));
        Assert.Equal(new BarrierPassage { Generation = 2, Taken = 2 }, await barrier.ArriveTogetherAsync(Party(B, 3, 2)).WaitAsync(Long));
        Assert.Equal(2, await one.WaitAsync(Long));
    }

    [Fact]
    public async Task APartyThatWaitedTooLongIsNotCounted()
    {
        await using HotpotCluster cluster = await HotpotCluster.StartAsync(A);
        IBarrierGrain barrier = cluster.Grains.GetGrain<IBarrierGrain>("step");
        HotpotTimeoutException late = await Assert.ThrowsAsync<HotpotTimeoutException>(
            () => barrier.ArriveTogetherAsync(Party(A, 3, 2) with { Timeout = TimeSpan.FromMilliseconds(50) }));
        Assert.Contains("Only 2 of 3", late.Message, StringComparison.Ordinal);
        Task<long> one = barrier.ArriveAsync(Arrival(A, 3));
        Assert.Equal(2, (await barrier.ArriveTogetherAsync(Party(A, 3, 2)).WaitAsync(Long)).Taken);
        Assert.Equal(1, await one.WaitAsync(Long));
    }

    private static BarrierParty Party(NodeId node, int participants, int size) =>
        new() { Node = node, Participants = participants, Arrivals = [.. Enumerable.Range(0, size).Select(_ => Guid.NewGuid())], Timeout = Long };
}
#endif
