using System.Buffers.Binary;

namespace Hotpot.Cluster.Tests;

/// <summary>A silo dies at each phase of a commit: afterwards all of the commit is there on every node, or nothing of it.</summary>
public sealed class CrashTests : IAsyncLifetime
{
    private const int ChunkBytes = 4 << 20;

    private TestCluster _cluster = null!;

    public async Task InitializeAsync() => _cluster = await TestCluster.StartAsync(3);

    public async Task DisposeAsync() => await _cluster.DisposeAsync();

    /// <summary>Who dies, over how many owners, and where. Whoever has the role at that moment is the victim: ownership moves when an owner dies.</summary>
    public static TheoryData<string, int, string[]> Phases => new()
    {
        { "commit node", 3, ["cn.after_stage", "cn.after_first_prepare", "cn.after_prepare", "cn.after_first_commit", "cn.after_commit"] },
        { "owner", 3, ["owner.after_stage", "owner.after_log", "owner.after_first_replicate", "owner.after_prepare", "owner.before_commit", "owner.after_apply"] },
        { "replica", 3, ["replica.before_log", "replica.after_log", "replica.after_durable", "replica.before_apply", "replica.after_apply"] },
        { "owner", 1, ["owner.after_stage", "owner.after_log", "owner.after_first_replicate", "owner.after_prepare", "owner.before_commit", "owner.after_apply"] },
        { "commit node", 1, ["cn.after_stage", "cn.after_commit"] },
        { "replica", 1, ["replica.after_log", "replica.after_apply"] },
    };

    [Theory]
    [MemberData(nameof(Phases))]
    public async Task ACommitIsAtomicWhenASiloDies(string role, int owners, string[] points)
    {
        Dataset dataset = await _cluster.CreateAsync($"crash-{role}-{owners}", 16 << 20, degree: 3);
        // The first commit to a chunk makes the committing node its owner.
        for (int chunk = 0; chunk < 3; chunk++)
            await _cluster.On(chunk).StoreAndCommitAsync(dataset.Name, [Pages(chunk, 300, 1)], CommitOptions.Default);
        int[] chunks = owners == 1 ? [1] : [0, 1, 2];
        long value = 1;
        int[] sizes = [1, 2, 300];
        for (int round = 0; round < points.Length; round++)
        {
            string point = points[round];
            ChunkEntry entry = Assert.Single(await _cluster.RetryAsync(() => _cluster.Grains.DatasetGrain(dataset.Id).GetEntriesAsync([new ChunkIndex(1)]), "the map is read"));
            int owner = IndexOf(entry.Owner);
            int victim = role == "owner" ? owner : (owner + 1) % 3;
            int committing = role == "commit node" ? victim : (owner + 2) % 3;
            int pages = sizes[round % sizes.Length];
            long before = value;
            // A settled starting point: the pages of this round hold one value on every node.
            await _cluster.RetryAsync(
                () => _cluster.On(committing).StoreAndCommitAsync(dataset.Name, [.. chunks.Select(chunk => Pages(chunk, 300, before + 1))], CommitOptions.Default),
                $"a commit succeeds before {point}");
            before++;
            long after = before + 1;
            value = after;

            NodeProcess dying = _cluster.Nodes[victim];
            await _cluster.On(victim).ArmCrashAsync(point);
            CommitOptions degraded = new() { MinDegree = 2, Timeout = TimeSpan.FromSeconds(20) };
            bool acknowledged = false, unheard = false;
            try
            {
                await _cluster.On(committing).StoreAndCommitAsync(dataset.Name, [.. chunks.Select(chunk => Pages(chunk, pages, after))], degraded);
                acknowledged = true;
            }
            catch (HotpotException)
            {
                Assert.NotEqual(victim, committing);  // Refused or unknown: the committing node lives and said so.
            }
            catch (Exception failure) when (failure is OrleansException or TimeoutException)
            {
                // The committing node died, or the silo that this client speaks through did.
                unheard = victim != committing;
            }
            await dying.WaitForExitAsync();
            if (unheard)
            {
                // The commit goes on without us; what it leaves uncommitted is committed by this one, so then all of it is there.
                await _cluster.RetryAsync(() => _cluster.On(committing).CommitAsync(dataset.Name, degraded), $"the commit is finished after {point}");
                acknowledged = true;
            }

            int[] survivors = [.. Enumerable.Range(0, 3).Where(node => node != victim)];
            await _cluster.EventuallyAsync(
                async () =>
                {
                    DatasetHealth health = await _cluster.Grains.DatasetGrain(dataset.Id).GetHealthAsync();
                    TransactionParticipant[][] pending = await Task.WhenAll(survivors.Select(node => _cluster.Grains.NodeGrain(_cluster.Nodes[node].Id).GetPendingAsync()));
                    return health is { Recovering: 0, ReplicasMissing: > 0 } && pending.All(undecided => undecided.Length == 0);
                },
                $"the survivors have settled what was undecided after {point}");
            long settled = await SettledAsync(survivors[0], chunks, pages, before, after, dataset, point);
            if (acknowledged)
                Assert.Equal(after, settled);
            Assert.Equal(settled, await SettledAsync(survivors[1], chunks, pages, before, after, dataset, point));

            await _cluster.RestartAsync(victim);
            await _cluster.WaitUntilHealthyAsync(dataset);
            for (int node = 0; node < 3; node++)
                Assert.Equal(settled, await SettledAsync(node, chunks, pages, before, after, dataset, point));
        }
    }

    /// <summary>All pages have the old value, or all have the new one; which?</summary>
    private async Task<long> SettledAsync(int node, int[] chunks, int pages, long before, long after, Dataset dataset, string point)
    {
        // Uncommitted stores stay visible where they were made, so the committed bytes are read.
        HashSet<long> found = [];
        foreach (int chunk in chunks)
        {
            byte[] bytes = await _cluster.RetryAsync(
                () => _cluster.Grains.NodeGrain(_cluster.Nodes[node].Id).ReadAllAsync(dataset, (long)chunk * ChunkBytes, pages * 4096),
                $"node {node} can read after {point}");
            for (int page = 0; page < pages; page++)
                found.Add(BinaryPrimitives.ReadInt64LittleEndian(bytes.AsSpan(page * 4096)));
        }
        long only = Assert.Single(found);
        Assert.True(only == before || only == after, $"{point}: {only} is neither {before} nor {after}");
        return only;
    }

    private int IndexOf(NodeId node) => Enumerable.Range(0, 3).Single(i => _cluster.Nodes[i].Id == node);

    private static Stored Pages(int chunk, int pages, long value)
    {
        byte[] bytes = new byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, value);
        return new Stored { Offset = (long)chunk * ChunkBytes, Bytes = bytes, Count = pages };
    }
}
