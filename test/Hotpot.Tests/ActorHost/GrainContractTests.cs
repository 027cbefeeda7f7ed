using Hotpot.TestSilo;
using Microsoft.Extensions.DependencyInjection;

namespace Hotpot.Tests.ActorHost;

/// <summary>
/// What our grains rely on, of whichever actor host. Two silos, so that calls cross a connection where the key says so.
/// </summary>
public sealed class GrainContractTests : IAsyncLifetime
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private TestSilos? _silos;

    private TestSilos Silos => _silos!;

    private string First => Silos.Names[0];

    private string Second => Silos.Names[1];

    public async Task InitializeAsync() => _silos = await TestSilos.StartAsync(2);

    public async Task DisposeAsync() => await Silos.DisposeAsync();

    [Fact]
    public async Task TurnsOfOneGrainDoNotOverlap()
    {
        var grain = Silos.Client.GetGrain<ITurnGrain>("turns");
        await Task.WhenAll(Enumerable.Range(0, 200).Select(_ => grain.AddSlowlyAsync())).WaitAsync(Patience);
        Assert.Equal(200, await grain.CountAsync());
    }

    [Fact]
    public async Task OnlyInterleavingRequestsRunWhileOneWaits()
    {
        var grain = Silos.Client.GetGrain<ITurnGrain>("gate");
        var waiting = grain.WaitForGateAsync();
        await Eventually(grain.IsWaitingAsync);
        var counting = grain.CountAsync();

        // By the time an interleaving request has come and gone, one that may not interleave would have run too.
        for (var i = 0; i < 10; i++)
            Assert.True(await grain.IsWaitingAsync());
        Assert.False(waiting.IsCompleted);
        Assert.False(counting.IsCompleted);
        await grain.OpenAsync().WaitAsync(Patience);
        Assert.Equal("opened", await waiting.WaitAsync(Patience));
        Assert.Equal(0, await counting.WaitAsync(Patience));
    }

    [Fact]
    public async Task ReentrantGrainsInterleave()
    {
        var grain = Silos.Client.GetGrain<IReentrantGrain>("gate");
        var waiting = grain.WaitForGateAsync();
        await grain.OpenAsync().WaitAsync(Patience);
        Assert.Equal("opened", await waiting.WaitAsync(Patience));
    }

    [Fact]
    public async Task UnansweredCallsTimeOut()
    {
        var grain = Silos.Client.GetGrain<ITurnGrain>("never");
        await Assert.ThrowsAsync<TimeoutException>(() => grain.NeverAsync().WaitAsync(Patience));
    }

    [Fact]
    public async Task TheDirectorPlacesByKey()
    {
        foreach (var name in Silos.Names)
            Assert.Equal(name, await Silos.Client.GetGrain<IPlacedGrain>($"{name}/where").WhereAsync());
    }

    [Fact]
    public async Task WhatTheDirectorThrowsReachesTheCaller()
    {
        var grain = Silos.Client.GetGrain<IPlacedGrain>("nowhere/at-all");
        var thrown = await Assert.ThrowsAsync<NoSuchSiloException>(grain.WhereAsync);
        Assert.Equal("There is no active silo named nowhere.", thrown.Message);
    }

    [Fact]
    public async Task GrainsCallEachOtherAcrossSilos()
    {
        Assert.Equal(Second, await Silos.Client.GetGrain<IPlacedGrain>($"{First}/asking").AskAsync($"{Second}/asked"));
        Assert.Equal(First, await Silos.Client.GetGrain<IPlacedGrain>($"{Second}/asking").AskAsync($"{First}/asked"));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public async Task ExceptionsKeepTypeMessagePropertiesAndCause(int silo)
    {
        var grain = Silos.Client.GetGrain<IPlacedGrain>($"{Silos.Names[silo]}/throws");
        var thrown = await Assert.ThrowsAsync<ShelfException>(() => grain.ThrowAsync("shelf"));
        Assert.Equal("The shelf is empty.", thrown.Message);
        Assert.Equal(new Coordinate(3, 4), thrown.Place);
        Assert.Equal("Nobody filled it.", Assert.IsType<InvalidOperationException>(thrown.InnerException).Message);
        await Assert.ThrowsAsync<ArgumentException>(() => grain.ThrowAsync("box"));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public async Task ValuesArriveAsTheyWereSent(int silo)
    {
        var grain = Silos.Client.GetGrain<IPlacedGrain>($"{Silos.Names[silo]}/values");
        Assert.Equal(5, await grain.AddAsync(2, 3));
        var parcel = new Parcel
        {
            Name = "a \"name\" ☃",
            Bytes = [1, 2, 3],
            Memory = new byte[] { 4, 5 },
            Values = { [new Coordinate(-1, uint.MaxValue)] = long.MinValue },
            Place = new Coordinate(7, 8),
            Ratio = double.NaN,
            Large = ulong.MaxValue,
            Path = [new Coordinate(1, 2), default],
            Local = "changed",
        };
        var echo = await grain.EchoAsync(parcel);
        Assert.NotSame(parcel, echo);
        Assert.Equal(parcel.Name, echo.Name);
        Assert.Equal(parcel.Bytes, echo.Bytes);
        Assert.Equal(parcel.Memory.ToArray(), echo.Memory.ToArray());
        Assert.Equal(parcel.Values, echo.Values);
        Assert.Equal(parcel.Place, echo.Place);
        Assert.Equal(parcel.Ratio, echo.Ratio);
        Assert.Equal(parcel.Large, echo.Large);
        Assert.Equal(parcel.Path, echo.Path);
        Assert.Equal("local", echo.Local);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public async Task ArgumentsAreCopies(int silo)
    {
        var bytes = new byte[1024 * 1024];
        Random.Shared.NextBytes(bytes);
        var before = bytes.ToArray();
        var reversed = await Silos.Client.GetGrain<IPlacedGrain>($"{Silos.Names[silo]}/bytes").ReverseAsync(bytes);
        Assert.Equal(before, bytes);
        Assert.Equal(Enumerable.Reverse(before), reversed);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public async Task CancellationReachesTheGrain(int silo)
    {
        var grain = Silos.Client.GetGrain<IPlacedGrain>($"{Silos.Names[silo]}/cancelled");
        Assert.Equal(0, await grain.CancellationsAsync());
        using var cancellation = new CancellationTokenSource();
        var waiting = grain.WaitForCancellationAsync(cancellation.Token);
        Assert.Equal(0, await grain.CancellationsAsync());
        await cancellation.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting.WaitAsync(Patience));
        await Eventually(async () => await grain.CancellationsAsync() == 1);
    }

    [Fact]
    public async Task TimersTickInTheirGrain() =>
        Assert.True(await Silos.Client.GetGrain<IPlacedGrain>($"{Second}/timer").TicksAsync(5).WaitAsync(Patience) >= 5);

    [Fact]
    public async Task ADeactivatedGrainComesBackAtTheNextCall()
    {
        var grain = Silos.Client.GetGrain<IPlacedGrain>($"{Second}/{Guid.NewGuid()}");
        Assert.Equal(1, await grain.ActivationsAsync());
        await grain.DeactivateAsync();
        await Eventually(async () => await grain.ActivationsAsync() == 2);
    }

    [Fact]
    public async Task StoredStateOutlivesTheActivation()
    {
        var grain = Silos.Client.GetGrain<IStoredGrain>("stored");
        Assert.Null(await grain.EtagAsync());
        Assert.Equal(5, await grain.AddAsync(5));
        var first = await grain.EtagAsync();
        Assert.NotNull(first);
        await grain.DeactivateAsync();
        Assert.Equal(8, await grain.AddAsync(3));
        Assert.NotEqual(first, await grain.EtagAsync());
        await grain.ClearAsync();
        await grain.DeactivateAsync();
        Assert.Equal(1, await grain.AddAsync(1));
    }

    [Fact]
    public async Task AStoppedSiloHandsItsGrainsOver()
    {
        var grains = Enumerable.Range(0, 20).Select(i => Silos.Client.GetGrain<IStoredGrain>($"moves/{i}")).ToList();
        foreach (var grain in grains)
            await grain.AddAsync(1);
        await Silos.StopAsync(Second);
        foreach (var grain in grains)
        {
            // What was stored outlives the silo only in a storage outside it, which the in-process cluster of Orleans
            // does not have.
            Assert.True(await grain.AddAsync(1).WaitAsync(Patience) > 0);
            Assert.Equal(First, await grain.WhereAsync());
        }
    }

    [Fact]
    public async Task MembershipNamesTheSilosAndSeesThemGo()
    {
        var membership = Silos.Services(First).GetRequiredService<IClusterMembershipService>();
        var second = Silos.Services(Second).GetRequiredService<ILocalSiloDetails>().SiloAddress;
        await membership.Refresh();
        Assert.Equal(Silos.Names.Order(), membership.CurrentSnapshot.Members.Values.Where(member => member.Status == SiloStatus.Active).Select(member => member.Name).Order());
        await Silos.StopAsync(Second);
        using var limit = new CancellationTokenSource(Patience);
        var last = new MembershipVersion(long.MinValue);
        await foreach (var snapshot in membership.MembershipUpdates.WithCancellation(limit.Token))
        {
            Assert.True(snapshot.Version > last);
            last = snapshot.Version;
            if (snapshot.GetSiloStatus(second) is SiloStatus.Dead or SiloStatus.None)
                return;
        }
    }

    [Fact]
    public async Task TenThousandCallsAtOnceAreAllAnswered()
    {
        var grains = Enumerable.Range(0, 100).Select(i => Silos.Client.GetGrain<IPlacedGrain>($"{Silos.Names[i % 2]}/many/{i}")).ToList();
        var answers = await Task.WhenAll(Enumerable.Range(0, 10_000).Select(i => grains[i % 100].AddAsync(i, 1).AsTask())).WaitAsync(Patience);
        Assert.Equal(Enumerable.Range(1, 10_000), answers);
    }

    private static async Task Eventually(Func<Task<bool>> holds)
    {
        using var limit = new CancellationTokenSource(Patience);
        while (!await holds())
            await Task.Delay(TimeSpan.FromMilliseconds(5), limit.Token);
    }
}
