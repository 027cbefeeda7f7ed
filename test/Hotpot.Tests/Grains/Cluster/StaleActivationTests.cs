#if HOTPOT_EMBEDDED
using Hotpot.Grains;
using Hotpot.Grains.Dataset;
using Hotpot.Grains.Namespace;
using static Hotpot.Tests.Grains.TestNodes;

namespace Hotpot.Tests.Grains.Cluster;

/// <summary>
/// What an activation answers after another one has changed the stored record. The other one is played by the test, which writes what a real one would have
/// written, behind the back of the activation that is asked.
/// </summary>
public sealed class StaleActivationTests
{
    private static readonly GrainId NamespaceId = GrainId.Create("namespace", GrainKeys.Namespace);

    /// <summary>No round of maintenance notices before the call that is tried.</summary>
    private static void Undisturbed(HotpotGrainsOptions options) => options.MaintenanceInterval = TimeSpan.FromHours(1);

    [Fact]
    public async Task TheNamespaceKnowsADatasetThatAnotherActivationCreated()
    {
        await using HotpotCluster cluster = await HotpotCluster.StartAsync(Undisturbed, A, B);
        INamespaceGrain grain = cluster.Grains.NamespaceGrain();
        DatasetDescription known = await cluster.CreateAsync("known", degree: 2);
        Assert.Null(await grain.FindAsync("graph"));
        (string? etag, NamespaceState? stored) = await cluster.Storage.ReadAsync<NamespaceState>("namespace", NamespaceId, default);
        DatasetDescription graph = known with { Id = new DatasetId(stored!.NextId), Name = "graph", BaseAddress = stored.NextBase };
        NamespaceState next = new()
        {
            NextId = stored.NextId + 1,
            NextBase = stored.NextBase + (1UL << 31),
            Entries = [.. stored.Entries, new NamespaceEntry { Description = graph, RequestId = Guid.NewGuid() }],
        };
        await cluster.Storage.WriteAsync("namespace", NamespaceId, etag, next, default);

        Assert.Equal(graph, await grain.FindAsync("graph"));
        Assert.Equal(["graph", "known"], (await grain.ListAsync()).Select(dataset => dataset.Name));
        await Assert.ThrowsAsync<DatasetExistsException>(() => cluster.CreateAsync("graph", degree: 2));
        DatasetDescription third = await cluster.CreateAsync("third", degree: 2);
        Assert.Equal(graph.Id.Value + 1, third.Id.Value);
        Assert.True(await grain.RemoveAsync("graph"));
        Assert.Null(await grain.FindAsync("graph"));
    }

    [Fact]
    public async Task ADatasetGrainThatWasOvertakenSaysSoAndTheNextOneKnows()
    {
        await using HotpotCluster cluster = await HotpotCluster.StartAsync(Undisturbed, A, B);
        DatasetDescription dataset = await cluster.CreateAsync("graph", degree: 2);
        await cluster.Committer(A).WriteAsync(dataset, 0, new byte[] { 1 }, CommitOptions.Default, default);
        await cluster.HealAsync(dataset.Id);
        IDatasetGrain grain = cluster.Grains.DatasetGrain(dataset.Id);
        NodeIdentity dead = cluster.Engine(B).Identity;
        foreach (Func<Task> call in (Func<Task>[])
        [
            () => grain.GetEntriesAsync([new ChunkIndex(0)]),
            () => grain.HandOverAsync(C, new Incarnation(1)),
            () => grain.NodeDiedAsync(C, new Incarnation(1)),
            () => grain.NodeJoinedAsync(dataset, dead),
        ])
        {
            await OvertakeAsync(cluster, dataset.Id);
            await Assert.ThrowsAsync<BusyException>(call);
            await HotpotCluster.UntilAsync("the next activation answers", async () =>
            {
                await grain.MaintainAsync();
                await call();
                return true;
            });
        }
    }

    [Fact]
    public async Task ADatasetThatAnotherActivationInitialisedIsNotDenied()
    {
        await using HotpotCluster cluster = await HotpotCluster.StartAsync(Undisturbed, A, B);
        DatasetDescription model = await cluster.CreateAsync("model", degree: 2);
        DatasetDescription dataset = model with { Id = new DatasetId(77), Name = "graph" };
        IDatasetGrain grain = cluster.Grains.DatasetGrain(dataset.Id);
        await Assert.ThrowsAsync<DatasetNotFoundException>(() => grain.GetMapAsync(0, new ChunkIndex(0)));
        Assert.Empty((await grain.GetHealthAsync()).Members);
        DatasetState state = new()
        {
            Description = dataset,
            Members = [new MemberRecord { Node = A, Incarnation = cluster.Engine(A).Identity.Incarnation }],
        };
        await cluster.Storage.WriteAsync("dataset", IdOf(dataset.Id), null, state, default);

        await Assert.ThrowsAsync<BusyException>(() => grain.GetMapAsync(0, new ChunkIndex(0)));
        await HotpotCluster.UntilAsync("the next activation knows it", async () => (await grain.GetHealthAsync()).Members is [var member] && member == A);
        Assert.Empty((await grain.GetMapAsync(0, new ChunkIndex(0))).Entries.Unpack());
    }

    private static GrainId IdOf(DatasetId dataset) => GrainId.Create("dataset", GrainKeys.Dataset(dataset));

    /// <summary>Another activation stores something of no consequence.</summary>
    private static async Task OvertakeAsync(HotpotCluster cluster, DatasetId dataset)
    {
        (string? etag, DatasetState? state) = await cluster.Storage.ReadAsync<DatasetState>("dataset", IdOf(dataset), default);
        await cluster.Storage.WriteAsync("dataset", IdOf(dataset), etag, state!.Copy(), default);
    }
}
#endif
