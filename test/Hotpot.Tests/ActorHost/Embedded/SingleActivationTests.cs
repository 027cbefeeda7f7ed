using Hotpot.TestSilo;
using Microsoft.Extensions.DependencyInjection;

namespace Hotpot.Tests.ActorHost.Embedded;

/// <summary>One activation in the cluster, also while silos come and do not all know it yet.</summary>
public sealed class SingleActivationTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    /// <summary>
    /// Two callers look for the same grain, each through the silo that owns its directory entry by the membership that the caller knows. Both owners wait for
    /// the end of the grain's earlier activation, and then both find it nowhere.
    /// </summary>
    [Fact]
    public async Task TwoOwnersOfOneEntryMakeOneActivation()
    {
        await using var silos = await TestSilos.StartAsync(2);
        string[] keys = [.. Enumerable.Range(0, 40).Select(i => $"roams/{i}")];
        using var end = new CancellationTokenSource();
        var staying = keys.Select(key => Grain(silos, "silo-0", key).StayAsync(end.Token)).ToList();
        foreach (var key in keys)
        {
            // Ending, and not at its end before the gate opens.
            await WaitUntilAsync(() => Activations(silos, key).Any());
            Activations(silos, key).Single().Deactivate(new DeactivationReason(DeactivationReasonCode.ApplicationRequested, "The test wants it."));
        }

        var early = keys.Select(key => Grain(silos, "silo-1", key).WhereAsync()).ToList();
        var newcomer = await silos.AddAsync("silo-2");
        var late = keys.Select(key => Grain(silos, "silo-2", key).WhereAsync()).ToList();
        await newcomer.Services.GetRequiredService<IClusterMembershipService>().Refresh();
        await end.CancelAsync();
        // Each ends by its cancellation or by its answer, whichever is first; that all end is what counts.
        await Task.WhenAll(staying).WaitAsync(Patience).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing | ConfigureAwaitOptions.ContinueOnCapturedContext);
        Assert.All(staying, stayed => Assert.True(stayed.IsCompleted));
        await Task.WhenAll(early.Concat(late)).WaitAsync(Patience);
        var snapshot = newcomer.Services.GetRequiredService<IClusterMembershipService>().CurrentSnapshot;
        var moved = keys.Count(key => GrainDirectory.OwnerOf(Id(key), snapshot)!.Equals(newcomer.Services.GetRequiredService<ILocalSiloDetails>().SiloAddress));
        Assert.True(moved > 0, "No entry moved to the new silo, so nothing was tried.");
        for (var i = 0; i < keys.Length; i++)
        {
            Assert.Equal(await early[i], await late[i]);
            Assert.Single(Activations(silos, keys[i]));
        }
    }

    private static GrainId Id(string key) => GrainId.Create("roaming", key);

    private static IRoamingGrain Grain(TestSilos silos, string from, string key) =>
        silos.Services(from).GetRequiredService<IGrainFactory>().GetGrain<IRoamingGrain>(key);

    private static IEnumerable<ActivationContext> Activations(TestSilos silos, string key) =>
        silos.Names.Select(name => silos.Services(name).GetRequiredService<Actors.Silo>().Catalog.Find(Id(key))).OfType<ActivationContext>();

    private static async Task WaitUntilAsync(Func<bool> holds)
    {
        using var limit = new CancellationTokenSource(Patience);
        while (!holds())
            await Task.Delay(5, limit.Token);
    }
}
