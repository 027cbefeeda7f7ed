using System.Buffers.Binary;
using System.Diagnostics;

namespace Hotpot.Cluster.Tests;

/// <summary>
/// The published defects of the kernel module that this system descends from (Shan, Tsai, Zhang: "Distributed Shared Persistent Memory", SoCC 2017), one test a
/// defect. Those that only the native part can have (5, 6, 9) are in ancestor_test.cpp.
/// </summary>
public sealed class AncestorDefectTests : IAsyncLifetime
{
    private const int ChunkBytes = 4 << 20;

    private static readonly CommitOptions AnyDegree = new() { MinDegree = 1, Timeout = TimeSpan.FromSeconds(30) };

    private TestCluster _cluster = null!;

    public async Task InitializeAsync() => _cluster = await TestCluster.StartAsync(3);

    public async Task DisposeAsync() => await _cluster.DisposeAsync();

    [Fact]
    public async Task Defect01_ExtraReplicasGotThePageAsItWasBeforeTheCommit()
    {
        Dataset dataset = await _cluster.CreateAsync("extra", ChunkBytes, degree: 3);
        for (byte value = 1; value <= 5; value++)
            await _cluster.On(0).StoreAndCommitAsync("extra", [new Stored { Offset = 0, Bytes = [value], Count = 100 }], CommitOptions.Default);
        // Each replica in turn is the only one left, so that nothing but its own copy can answer.
        await _cluster.Nodes[0].KillAsync();
        await _cluster.Nodes[1].KillAsync();
        Assert.Equal(5, (await ReadAsync(2, dataset, 99 * 4096, 1))[0]);
        await _cluster.Nodes[2].KillAsync();
        await _cluster.RestartAllAsync();
        await _cluster.WaitUntilHealthyAsync(dataset);
        for (int node = 0; node < 3; node++)
            Assert.Equal(5, (await ReadAsync(node, dataset, 99 * 4096, 1))[0]);
    }

    [Fact]
    public async Task Defect02_MissingReplicasWereNotNoticedAndTheDegreeWasClampedSilently()
    {
        Dataset dataset = await _cluster.CreateAsync("clamped", ChunkBytes, degree: 3);
        await _cluster.On(0).StoreAndCommitAsync("clamped", [Value(0, 1)], CommitOptions.Default);
        await _cluster.Nodes[2].KillAsync();
        DegreeException error = await Assert.ThrowsAsync<DegreeException>(
            () => _cluster.On(0).StoreAndCommitAsync("clamped", [Value(0, 2)], new CommitOptions { Timeout = TimeSpan.FromSeconds(6) }));
        Assert.Equal(3, error.Asked);
        Assert.True((await dataset.StatAsync()).Health.ReplicasMissing > 0);
    }

    [Fact]
    public async Task Defect03_ACoherenceMessageStoppedAtTheFirstDirtyPage()
    {
        await _cluster.CreateAsync("dirty", ChunkBytes, degree: 1);
        await _cluster.On(0).StoreAndCommitAsync("dirty", [new Stored { Offset = 0, Bytes = [1], Count = 10 }], CommitOptions.Default);
        // Node 1 shares all pages, and has an uncommitted store in the second.
        Assert.Equal(1, (await _cluster.On(1).LoadAsync("dirty", 9 * 4096, 1))[0]);
        await _cluster.On(1).StoreAsync("dirty", [new Stored { Offset = 4096 + 8, Bytes = [77] }]);
        await _cluster.On(0).StoreAndCommitAsync("dirty", [new Stored { Offset = 0, Bytes = [2], Count = 10 }], CommitOptions.Default);
        for (int page = 0; page < 10; page++)
            Assert.Equal(page == 1 ? (byte)1 : (byte)2, (await _cluster.On(1).LoadAsync("dirty", page * 4096, 1))[0]);
        await _cluster.On(1).CommitAsync("dirty", CommitOptions.Default);
        byte[] merged = await _cluster.On(2).LoadAsync("dirty", 4096, 9);
        Assert.Equal((2, 77), (merged[0], merged[8]));
    }

    /// <summary>A grant over three owners, and the holder dies between its owners' commits.</summary>
    [Fact]
    public async Task Defect04_ACommitOverSeveralOwnersWasNotAtomic()
    {
        Dataset dataset = await _cluster.CreateAsync("owners", 4 * ChunkBytes, degree: 3, SharingMode.SingleWriter);
        for (int chunk = 0; chunk < 3; chunk++)
            await _cluster.On(chunk).HoldGrantAsync("owners", (long)chunk * ChunkBytes, ChunkBytes, [Value(chunk, 1)]);
        await _cluster.On(0).ArmCrashAsync("cn.after_first_commit");
        Task commit = _cluster.On(0).HoldGrantAsync("owners", 0, 3L * ChunkBytes, [Value(0, 2), Value(1, 2), Value(2, 2)]);
        await _cluster.Nodes[0].WaitForExitAsync();
        await Assert.ThrowsAnyAsync<Exception>(() => commit);
        await _cluster.EventuallyAsync(
            async () => await _cluster.Grains.DatasetGrain(dataset.Id).GetHealthAsync() is { Recovering: 0, ReplicasMissing: > 0 }, "the survivors have settled it");
        foreach (int node in (int[])[1, 2])
        {
            for (int chunk = 0; chunk < 3; chunk++)
                Assert.Equal(2, BinaryPrimitives.ReadInt64LittleEndian(await ReadAsync(node, dataset, (long)chunk * ChunkBytes, 8)));
        }
    }

    [Fact]
    public async Task Defect07_ALeavingNodeFreedItsChunksAndANodeHadOneProcessForEachDataset()
    {
        Dataset[] datasets = [await _cluster.CreateAsync("first", ChunkBytes, degree: 2), await _cluster.CreateAsync("second", ChunkBytes, degree: 2)];
        foreach (Dataset dataset in datasets)
            await _cluster.On(0).StoreAndCommitAsync(dataset.Name, [Value(0, 9)], CommitOptions.Default);
        _cluster.Nodes[0].Terminate();
        await _cluster.Nodes[0].WaitForExitAsync();
        foreach (Dataset dataset in datasets)
        {
            await _cluster.WaitUntilHealthyAsync(dataset);  // also the degree is there again
            foreach (int node in (int[])[1, 2])
                Assert.Equal(9, BinaryPrimitives.ReadInt64LittleEndian(await ReadAsync(node, dataset, 0, 8)));
        }
    }

    [Fact]
    public async Task Defect08_FastSuccessiveBarriersRaced() =>
        await Task.WhenAll(Enumerable.Range(0, 3).Select(node => _cluster.On(node).MeetAsync("fast", 3, 200)));

    [Fact]
    public async Task Defect10_ARebootWithThePersistentMemoryIntactForgotEverything()
    {
        Dataset dataset = await _cluster.CreateAsync("reboot", ChunkBytes, degree: 3);
        await _cluster.On(1).StoreAndCommitAsync("reboot", [Value(0, 5)], CommitOptions.Default);
        await Task.WhenAll(_cluster.Nodes.Select(node => node.KillAsync()));
        await _cluster.RestartAllAsync();
        for (int node = 0; node < 3; node++)
            Assert.Equal(5, BinaryPrimitives.ReadInt64LittleEndian(await ReadAsync(node, dataset, 0, 8)));
        await _cluster.WaitUntilHealthyAsync(dataset);
        await _cluster.On(2).StoreAndCommitAsync("reboot", [Value(0, 6)], CommitOptions.Default);
    }

    /// <summary>Three nodes add to one number again and again; each addition is repeated until it did not conflict.</summary>
    [Fact]
    public async Task Defect11_TwoNodesThatWroteOnePageLostAnUpdateSilently()
    {
        Dataset dataset = await _cluster.CreateAsync("sum", ChunkBytes, degree: 2);
        await Task.WhenAll(Enumerable.Range(0, 3).Select(node => _cluster.On(node).AddAsync("sum", 64, times: 40)));
        for (int node = 0; node < 3; node++)
            Assert.Equal(120, BinaryPrimitives.ReadInt64LittleEndian(await ReadAsync(node, dataset, 64, 8)));
    }

    [Fact]
    public async Task Defect12_TheWriteSetHadToBeDeclaredUpFront()
    {
        Dataset dataset = await _cluster.CreateAsync("undeclared", 8 * ChunkBytes, degree: 2);
        Random random = new(12);
        long[] places = [.. Enumerable.Range(0, 50).Select(_ => random.NextInt64(dataset.Size / 8) * 8).Distinct()];
        CommitResult result = await _cluster.On(0).StoreAndCommitAsync(
            "undeclared", [.. places.Select(place => new Stored { Offset = place, Bytes = BitConverter.GetBytes(place + 1) })], CommitOptions.Default);
        Assert.Equal(places.Select(place => place / 4096).Distinct().Count(), result.Pages);
        foreach (long place in places)
            Assert.Equal(place + 1, BitConverter.ToInt64(await ReadAsync(2, dataset, place, 8)));
    }

    [Fact]
    public async Task Defect13_NobodyCouldInstallIt()
    {
        // A second setup finds nothing missing and says so quickly; a new machine's first one is what runs these tests there.
        using Process setup = Process.Start(new ProcessStartInfo(Path.Combine(Root(), "hotpot"), ["setup", "--no-build"]) { RedirectStandardError = true })!;
        string said = await setup.StandardError.ReadToEndAsync();
        await setup.WaitForExitAsync();
        Assert.True(setup.ExitCode == 0, said);
        Assert.DoesNotContain("apt-get", said);
    }

    private static string Root()
    {
        string? folder = AppContext.BaseDirectory;
        while (folder is not null && !File.Exists(Path.Combine(folder, "Hotpot.Actors.sln")))
            folder = Path.GetDirectoryName(folder);
        return folder ?? throw new DirectoryNotFoundException("The tests do not run inside the repository.");
    }

    private Task<byte[]> ReadAsync(int node, Dataset dataset, long offset, int length) => _cluster.RetryAsync(
        () => _cluster.Grains.NodeGrain(_cluster.Nodes[node].Id).ReadAllAsync(dataset, offset, length), $"node {node} can read");

    private static Stored Value(int chunk, long value) => new() { Offset = (long)chunk * ChunkBytes, Bytes = BitConverter.GetBytes(value) };
}
