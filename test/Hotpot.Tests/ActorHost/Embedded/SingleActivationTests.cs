using Hotpot.TestSilo;
using Microsoft.Extensions.DependencyInjection;

namespace Hotpot.Tests.ActorHost.Embedded;

/// <summary>One activation in the cluster, also while silos come and do not all know it yet.</summary>
public sealed class SingleActivationTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    /// <summary>
    /// Two callers look for the same grain, each through the silo that owns its directory entry by the membership that the caller knows. Neither owner remembers the
    /// grain, both wait for the end of its earlier activation, and then both find it nowhere.
    /// </summary>
    [Fact]
    public async Task TwoOwnersOfOneEntryMakeOneActivation()
    {
        await using var silos = await TestSilos.StartAsync(1);
        string[] keys = [.. Enumerable.Range(0, 80).Select(i => $"roams/{i}")];
        using var end = new CancellationTokenSource();
        var staying = keys.Select(key => Grain(silos, "silo-0", key).StayAsync(end.Token)).ToList();
        foreach (var key in keys)
        {
            // Ending, and not at its end before the gate opens.
            await WaitUntilAsync(() => Grain(silos, "silo-0", key).IsStayingAsync());
            Activations(silos, key).Single().Deactivate(new DeactivationReason(DeactivationReasonCode.ApplicationRequested, "The test wants it."));
        }

        await silos.AddAsync("silo-1");
        var before = Membership(silos, "silo-1").CurrentSnapshot;
        var early = keys.Select(key => Grain(silos, "silo-1", key).WhereAsync()).ToList();
        await silos.AddAsync("silo-2");
        var after = Membership(silos, "silo-2").CurrentSnapshot;
        var late = keys.Select(key => Grain(silos, "silo-2", key).WhereAsync()).ToList();
        var moved = keys.Count(key => GrainDirectory.OwnerOf(Id(key), before)!.Equals(Address(silos, "silo-1"))
            && GrainDirectory.OwnerOf(Id(key), after)!.Equals(Address(silos, "silo-2")));
        Assert.True(moved > 0, "No entry moved from one new silo to the other, so nothing was tried.");
        foreach (var name in silos.Names)
            await Membership(silos, name).Refresh(after.Version);
        await end.CancelAsync();

        // Each ends by its cancellation or by its answer, whichever is first; that all end is what counts.
        await Task.WhenAll(staying).WaitAsync(Patience).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing | ConfigureAwaitOptions.ContinueOnCapturedContext);
        Assert.All(staying, stayed => Assert.True(stayed.IsCompleted));
        await Task.WhenAll(early.Concat(late)).WaitAsync(Patience);
        for (var i = 0; i < keys.Length; i++)
        {
            Assert.Single(Activations(silos, keys[i]));
            Assert.Equal(await early[i], await late[i]);
        }
    }

    private static IClusterMembershipService Membership(TestSilos silos, string name) => silos.Services(name).GetRequiredService<IClusterMembershipService>();

    private static SiloAddress Address(TestSilos silos, string name) => silos.Services(name).GetRequiredService<ILocalSiloDetails>().SiloAddress;

    private static GrainId Id(string key) => GrainId.Create("roaming", key);

    private static IRoamingGrain Grain(TestSilos silos, string from, string key) =>
        silos.Services(from).GetRequiredService<IGrainFactory>().GetGrain<IRoamingGrain>(key);

    private static IEnumerable<ActivationContext> Activations(TestSilos silos, string key) =>
        silos.Names.Select(name => silos.Services(name).GetRequiredService<Actors.Silo>().Catalog.Find(Id(key))).OfType<ActivationContext>();

    private static async Task WaitUntilAsync(Func<Task<bool>> holds)
    {
        using var limit = new CancellationTokenSource(Patience);
        while (!await holds())
            await Task.Delay(5, limit.Token);
    }
}
