using System.Text;
using Hotpot.Runtime;

namespace Hotpot.Tests.Runtime;

/// <summary>A data directory of its own, and the engines that were started on it; all gone when the test ends.</summary>
internal sealed class EngineFixture : IAsyncDisposable
{
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    // Datasets of tests that run at the same time must not meet at one address.
    private static long s_nextBase = 0x2000_0000_0000;
    private static long s_nextId = 1;

    private readonly List<Engine> _engines = [];

    public string Directory { get; } = System.IO.Directory.CreateTempSubdirectory("hotpot-test-").FullName;

    public Engine Start(Medium medium = Medium.File, string? subdirectory = null)
    {
        string directory = subdirectory is null ? Directory : Path.Combine(Directory, subdirectory);
        System.IO.Directory.CreateDirectory(directory);
        Engine engine = Engine.Start(new EngineSettings
        {
            DataDirectory = directory,
            Medium = medium,
            BindAddress = "127.0.0.1:0",
            ClusterKey = Encoding.UTF8.GetBytes("the key of the tests"),
        });
        _engines.Add(engine);
        return engine;
    }

    /// <summary>A dataset whose address no other test uses.</summary>
    public static DatasetDescription Describe(long size = 64 * Limits.PageBytes, int degree = 1) => new()
    {
        Id = new DatasetId((ulong)Interlocked.Increment(ref s_nextId)),
        Name = "test",
        BaseAddress = (ulong)Interlocked.Add(ref s_nextBase, 1L << 30),
        Size = size,
        ChunkLog2 = 16,
        Degree = degree,
        Mode = SharingMode.MultiWriter,
    };

    /// <summary>The first map of a chunk, owned by the first replica.</summary>
    public static ChunkEntry Entry(uint chunk, params Engine[] replicas) => new()
    {
        Chunk = new ChunkIndex(chunk), Epoch = Epoch.First, Owner = replicas[0].NodeId, Replicas = [.. replicas.Select(replica => replica.NodeId)],
    };

    /// <summary>Opens the dataset with every chunk owned by this engine alone.</summary>
    public static void OpenOwned(Engine engine, DatasetDescription dataset)
    {
        engine.OpenDataset(dataset);
        engine.ApplyMap(dataset.Id, [.. Enumerable.Range(0, (int)dataset.ChunkCount).Select(chunk => Entry((uint)chunk, engine))]);
    }

    /// <summary>Stages, prepares and commits what the transaction holds, at the one owner.</summary>
    public static async Task<Completion> CommitAsync(Engine owner, Transaction transaction, DatasetId dataset)
    {
        (await transaction.StageAsync(dataset, owner.NodeId)).ThrowIfFailed("Staging failed");
        (await owner.PrepareAsync(transaction.Id, dataset, failOnConflict: false, minimumDegree: 1, Patience)).ThrowIfFailed("Preparing failed");
        Completion committed = await owner.CommitAsync(transaction.Id, dataset);
        committed.ThrowIfFailed("Committing failed");
        owner.Forget(transaction.Id, dataset);
        return committed;
    }

    public static async Task WriteAsync(Engine owner, DatasetId dataset, long offset, byte[] bytes)
    {
        using Transaction transaction = owner.CreateTransaction();
        transaction.Write(dataset, offset, bytes);
        await CommitAsync(owner, transaction, dataset);
    }

    public async ValueTask DisposeAsync()
    {
        foreach (Engine engine in _engines)
            await engine.DisposeAsync();
        System.IO.Directory.Delete(Directory, recursive: true);
    }
}
