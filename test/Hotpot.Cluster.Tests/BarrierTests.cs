namespace Hotpot.Cluster.Tests;

/// <summary>Barriers of processes: many participants in fast succession, and one that is killed.</summary>
public sealed class BarrierTests : IAsyncLifetime
{
    private TestCluster _cluster = null!;

    public async Task InitializeAsync() => _cluster = await TestCluster.StartAsync(3);

    public async Task DisposeAsync() => await _cluster.DisposeAsync();

    [Fact]
    public async Task ManyParticipantsOnAllNodesMeetInFastSuccession() =>
        await Task.WhenAll(Enumerable.Range(0, 12).Select(participant => _cluster.On(participant % 3).MeetAsync("crowd", 12, 60)));

    [Fact]
    public async Task AKilledParticipantBreaksTheBarrierForTheOthersAndTheNextOnesMeet()
    {
        await Task.WhenAll(Enumerable.Range(0, 3).Select(node => _cluster.On(node).MeetAsync("mortal", 3, 5)));
        Task dying = _cluster.On(2).MeetAsync("mortal", 3, 1), waiting = _cluster.On(0).MeetAsync("mortal", 3, 1);
        await _cluster.Nodes[2].KillAsync();
        // Nobody is left there to say how it ended.
        await Assert.ThrowsAnyAsync<Exception>(() => dying.WaitAsync(TimeSpan.FromSeconds(60)));
        // The barrier itself may have lived there, and a later one knows nobody who is dead; the first arrival with another number ends that wait, and comes again: it
        // alone was told, because the other survivor may arrive only after it.
        await Task.WhenAny(waiting, Task.Delay(TimeSpan.FromSeconds(15)));
        await Task.WhenAll(MeetAsync(0), MeetAsync(1));
        Exception broken = await Assert.ThrowsAnyAsync<Exception>(() => waiting.WaitAsync(TimeSpan.FromSeconds(60)));
        Assert.True(broken is BarrierBrokenException or OrleansException or NodeUnavailableException, broken.ToString());

        Task MeetAsync(int survivor) => _cluster.RetryAsync(
            async () =>
            {
                await _cluster.On(survivor).MeetAsync("mortal", 2, 20);
                return true;
            },
            "the survivors meet");
    }
}
