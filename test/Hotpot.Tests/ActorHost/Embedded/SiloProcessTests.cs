using System.Diagnostics;
using Hotpot.TestSilo;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace Hotpot.Tests.ActorHost.Embedded;

/// <summary>Silos that are processes of their own, and what the others see when they die, hang, or leave.</summary>
public sealed class SiloProcessTests : IAsyncLifetime
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private TestSilos? _silos;

    private TestSilos Silos => _silos!;

    private IClusterMembershipService Membership => Silos.Services("silo-0").GetRequiredService<IClusterMembershipService>();

    public async Task InitializeAsync() => _silos = await TestSilos.StartAsync(1);

    public async Task DisposeAsync() => await Silos.DisposeAsync();

    [Fact]
    public async Task AKilledSiloIsSeenDeadAndItsCallsEndAtOnce()
    {
        using var other = await SiloProcess.StartAsync(Silos.Directory, "other");
        var grain = Silos.Client.GetGrain<IPlacedGrain>("other/hangs");
        Assert.Equal("other", await grain.WhereAsync());
        var hanging = grain.HangAsync();
        var watch = Stopwatch.StartNew();
        other.Kill();
        await Assert.ThrowsAsync<SiloUnavailableException>(() => hanging.WaitAsync(Patience));
        await SeenDeadAsync(other.Address);

        // The aim is 300 ms; the machine that runs this may be doing much else, so the test asks for less than a
        // heartbeat's judgement takes.
        Assert.True(watch.Elapsed < TimeSpan.FromSeconds(1.8), $"Took {watch.ElapsedMilliseconds} ms.");
        await Assert.ThrowsAsync<NoSuchSiloException>(() => grain.WhereAsync().WaitAsync(Patience));
    }

    [Fact]
    public async Task AGrainOfAKilledSiloComesBackElsewhereWithWhatItStored()
    {
        using var other = await SiloProcess.StartAsync(Silos.Directory, "other");
        var grains = Enumerable.Range(0, 30).Select(i => Silos.Client.GetGrain<IStoredGrain>($"revives/{i}")).ToList();
        foreach (var grain in grains)
            await grain.AddAsync(1);
        var places = await Task.WhenAll(grains.Select(grain => grain.WhereAsync()));
        Assert.Contains("other", places);
        other.Kill();
        await SeenDeadAsync(other.Address);
        foreach (var grain in grains)
        {
            Assert.Equal(2, await grain.AddAsync(1).WaitAsync(Patience));
            Assert.Equal("silo-0", await grain.WhereAsync());
        }
    }

    [Fact]
    public async Task AStoppedSiloIsDeclaredDeadAndFencesItselfWhenItWakes()
    {
        using var other = await SiloProcess.StartAsync(Silos.Directory, "other");
        var grain = Silos.Client.GetGrain<IPlacedGrain>("other/hangs");
        await grain.WhereAsync();
        other.Stop();
        var hanging = grain.WhereAsync();
        await Assert.ThrowsAsync<SiloUnavailableException>(() => hanging.WaitAsync(Patience));
        await SeenDeadAsync(other.Address);

        // A new life under the same name goes first; the old one must not disturb it.
        using var successor = await SiloProcess.StartAsync(Silos.Directory, "other");
        Assert.True(successor.Address.IsSuccessorOf(other.Address));
        Assert.Equal("other", await grain.WhereAsync().WaitAsync(Patience));
        other.Resume();
        Assert.Equal("fenced", await other.ReadLineAsync());
        Assert.Equal("stopped", await other.ReadLineAsync());
        Assert.Equal(0, await other.ExitCodeAsync());
        Assert.Equal("other", await grain.WhereAsync().WaitAsync(Patience));
    }

    [Fact]
    public async Task ASiloThatLeavesTakesNobodyByHeartbeat()
    {
        using var other = await SiloProcess.StartAsync(Silos.Directory, "other");
        var grains = Enumerable.Range(0, 30).Select(i => Silos.Client.GetGrain<IStoredGrain>($"leaves/{i}")).ToList();
        foreach (var grain in grains)
            await grain.AddAsync(1);

        // Calls go on all the while; none may fail.
        using var enough = new CancellationTokenSource();
        var calling = Task.Run(async () =>
        {
            var calls = 0;
            while (!enough.IsCancellationRequested)
                await grains[calls++ % grains.Count].AddAsync(1);
            return calls;
        });
        Assert.Equal(0, await other.LeaveAsync());
        await SeenDeadAsync(other.Address);
        await enough.CancelAsync();
        var made = await calling.WaitAsync(Patience);
        var sum = 0;
        foreach (var grain in grains)
            sum += await grain.AddAsync(0);
        Assert.Equal(made + grains.Count, sum);
    }

    [Fact]
    public async Task AClientOfAnotherProcessCallsAndMovesToAnotherSilo()
    {
        using var other = await SiloProcess.StartAsync(Silos.Directory, "other");
        var builder = Host.CreateEmptyApplicationBuilder(null);
        builder.UseOrleansClient(client => client.UseEmbeddedClustering(Silos.Directory));
        using var host = builder.Build();
        await host.StartAsync();
        var client = host.Services.GetRequiredService<IClusterClient>();
        foreach (var name in new[] { "silo-0", "other" })
        {
            var grain = client.GetGrain<IPlacedGrain>($"{name}/client");
            Assert.Equal(name, await grain.WhereAsync());
            var thrown = await Assert.ThrowsAsync<ShelfException>(() => grain.ThrowAsync("shelf"));
            Assert.Equal(new Coordinate(3, 4), thrown.Place);
            using var cancellation = new CancellationTokenSource();
            var waiting = grain.WaitForCancellationAsync(cancellation.Token);
            await cancellation.CancelAsync();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting.WaitAsync(Patience));
        }

        other.Kill();
        await SeenDeadAsync(other.Address);
        var stayed = client.GetGrain<IPlacedGrain>("silo-0/client");
        try
        {
            await stayed.WhereAsync().WaitAsync(Patience);
        }
        catch (SiloUnavailableException)
        {
            // The client had been connected to the silo that died, and this call was on its way. The next one takes
            // another silo.
        }

        Assert.Equal("silo-0", await stayed.WhereAsync().WaitAsync(Patience));
        await host.StopAsync();
    }

    [Fact]
    public async Task AClientWhoseSiloStandsStillGoesOnThroughAnother()
    {
        using var other = await SiloProcess.StartAsync(Silos.Directory, "other");
        // Each client connects to a silo of its own choice; of eight, some have the one that will stand still.
        var hosts = new List<IHost>();
        for (var i = 0; i < 8; i++)
        {
            var builder = Host.CreateEmptyApplicationBuilder(null);
            builder.UseOrleansClient(client => client.UseEmbeddedClustering(Silos.Directory));
            hosts.Add(builder.Build());
            await hosts[i].StartAsync();
        }

        other.Stop();
        await Task.WhenAll(hosts.Select(async host =>
        {
            var grain = host.Services.GetRequiredService<IClusterClient>().GetGrain<IPlacedGrain>("silo-0/client");
            try
            {
                Assert.Equal("silo-0", await grain.WhereAsync().WaitAsync(TimeSpan.FromSeconds(15)));
            }
            catch (SiloUnavailableException)
            {
                Assert.Equal("silo-0", await grain.WhereAsync().WaitAsync(TimeSpan.FromSeconds(15)));
            }
        }));
        foreach (var host in hosts)
            await host.StopAsync();
    }

    [Fact]
    public async Task TwoLivingSilosCannotHaveOneName()
    {
        using var other = await SiloProcess.StartAsync(Silos.Directory, "other");
        var refused = await Assert.ThrowsAsync<OrleansConfigurationException>(() => Silos.AddAsync("other"));
        Assert.Contains("already runs", refused.Message, StringComparison.Ordinal);
    }

    private async Task SeenDeadAsync(SiloAddress silo)
    {
        using var limit = new CancellationTokenSource(Patience);
        await foreach (var snapshot in Membership.MembershipUpdates.WithCancellation(limit.Token))
        {
            if (snapshot.GetSiloStatus(silo) == SiloStatus.Dead)
                return;
        }
    }
}
