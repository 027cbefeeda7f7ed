using Hotpot.Actors;

namespace Hotpot.Tests.ActorHost.Embedded;

public sealed class FileLockTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("hotpot-lock-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    /// <summary>
    /// A silo that joins and loses its number to another one deletes its lock file and lets go of it, while that other may have the file open already: what it then locks has no name,
    /// and all others would see that its process had ended.
    /// </summary>
    [Fact]
    public async Task WhoHoldsTheLockIsSeenToHoldItWhileOthersGiveItUp()
    {
        string path = Path.Combine(_folder, "life.lock");
        int held = 0, unseen = 0;
        await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => Task.Run(() =>
        {
            for (int i = 0; i < 20_000; i++)
            {
                if (FileLock.TryAcquire(path) is not { } life)
                    continue;
                Interlocked.Increment(ref held);
                if (!FileLock.IsHeld(path))
                    Interlocked.Increment(ref unseen);
                File.Delete(path);
                life.Dispose();
            }
        })));
        Assert.True(held > 1000, $"it was taken {held} times only");
        Assert.Equal(0, unseen);
    }
}
