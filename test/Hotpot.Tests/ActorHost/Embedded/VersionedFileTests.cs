using System.Buffers.Binary;
using Hotpot.Actors;

namespace Hotpot.Tests.ActorHost.Embedded;

/// <summary>A compare-and-set tells each writer what became of its own write, also when the next one builds on it at once.</summary>
public sealed class VersionedFileTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("hotpot-versions-").FullName;

    [Fact]
    public async Task WhoeverHasWonIsTold()
    {
        const int Writers = 4;
        const int WinsOfEach = 1500;
        var file = new VersionedFile(_directory, "counter", survivesPowerLoss: false);
        await Task.WhenAll(Enumerable.Range(0, Writers).Select(_ => Task.Factory.StartNew(
            () =>
            {
                Span<byte> next = stackalloc byte[sizeof(long)];
                for (var wins = 0; wins < WinsOfEach;)
                {
                    var (version, content) = file.Read();
                    BinaryPrimitives.WriteInt64LittleEndian(next, content is null ? 1 : BinaryPrimitives.ReadInt64LittleEndian(content) + 1);
                    if (file.TryReplace(version, next))
                        wins++;
                }
            },
            CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default)));

        var (newest, count) = file.Read();
        Assert.Equal(Writers * WinsOfEach, newest);
        Assert.Equal(Writers * WinsOfEach, BinaryPrimitives.ReadInt64LittleEndian(count));
    }

    /// <summary>It is stopped between its last look and its create for so long that the version it creates has come and gone.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(20)]
    public void AWriterThatIsOvertakenHasLost(int others)
    {
        var file = new VersionedFile(_directory, "counter", survivesPowerLoss: false);
        Assert.True(file.TryReplace(0, [1]));
        Assert.True(file.TryReplace(1, [1]));
        Assert.False(DurableFile.TryCreate(file.PathOf(3), [2], survivesPowerLoss: false, () =>
        {
            for (var other = 0; other < others; other++)
                Assert.True(file.TryReplace(2 + other, [1]));
            return true;
        }));

        Assert.Equal(others == 1, File.Exists(file.PathOf(3)));
        Assert.Equal(2 + others, file.Newest());
        Assert.Equal([1], file.Read().Content);
        Assert.DoesNotContain(Directory.EnumerateFiles(_directory), path => path.EndsWith(".new", StringComparison.Ordinal));
    }

    public void Dispose() => Directory.Delete(_directory, recursive: true);
}
