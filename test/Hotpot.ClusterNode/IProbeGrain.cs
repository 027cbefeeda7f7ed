namespace Hotpot.ClusterNode;

/// <summary>The hands of a test inside one node's process. Its key is the node's id.</summary>
[Alias("hotpot.test.IProbeGrain")]
public interface IProbeGrain : IGrainWithStringKey
{
    /// <summary>Stores through the mapping and commits what was stored.</summary>
    [Alias("StoreAndCommit")]
    [ResponseTimeout("00:02:00")]
    Task<CommitResult> StoreAndCommitAsync(string dataset, Stored[] stores, CommitOptions options);

    /// <summary>Stores through the mapping, and does not commit.</summary>
    [Alias("Store")]
    Task StoreAsync(string dataset, Stored[] stores);

    [Alias("Commit")]
    [ResponseTimeout("00:02:00")]
    Task<CommitResult> CommitAsync(string dataset, CommitOptions options);

    /// <summary>Adds one to a number so many times, each in a commit of its own that is repeated from a fresh load when it conflicts.</summary>
    [Alias("Add")]
    [ResponseTimeout("00:02:00")]
    Task AddAsync(string dataset, long offset, int times);

    /// <summary>Plain loads through the mapping, on a thread of their own.</summary>
    [Alias("Load")]
    [ResponseTimeout("00:02:00")]
    Task<byte[]> LoadAsync(string dataset, long offset, int length);

    /// <summary>Stores at <paramref name="at"/> the raw address of <paramref name="target"/>, and a value there, and commits.</summary>
    [Alias("StorePointer")]
    Task StorePointerAsync(string dataset, long at, long target, long value);

    /// <summary>Loads a raw address and dereferences it.</summary>
    [Alias("FollowPointer")]
    Task<long> FollowPointerAsync(string dataset, long at);

    /// <summary>Touches absent pages on several threads while the garbage collector runs in a loop.</summary>
    [Alias("GcStorm")]
    [ResponseTimeout("00:03:00")]
    Task<StormResult> GcStormAsync(string dataset, int pages, int threads, int rounds);

    /// <summary>From now on this process kills itself when it reaches the named point.</summary>
    [Alias("ArmCrash")]
    Task ArmCrashAsync(string point);

    /// <summary>Acquires, stores and commits, releases.</summary>
    [Alias("HoldGrant")]
    [ResponseTimeout("00:02:00")]
    Task HoldGrantAsync(string dataset, long offset, long length, Stored[] stores);

    [Alias("AcquireTwice")]
    Task AcquireTwiceAsync(string dataset);

    /// <summary>Begins to acquire and returns; the grant, once it is there, is kept until <see cref="ReleaseAsync"/>.</summary>
    [Alias("StartAcquiring")]
    Task StartAcquiringAsync(string dataset, long offset, long length);

    /// <summary>The acquisition that was begun has been granted; an error of it is thrown.</summary>
    [Alias("HasGrant")]
    Task<bool> HasGrantAsync(string dataset, long offset);

    [Alias("Release")]
    Task ReleaseAsync(string dataset, long offset);

    /// <summary>Begins to add one so many times, each in a commit of its own, under the grant that this node holds, and returns.</summary>
    [Alias("StartAdding")]
    Task StartAddingAsync(string dataset, long offset, int times);

    /// <summary>How many of these were acknowledged so far; an error that ended them is thrown.</summary>
    [Alias("GetAdded")]
    Task<int> GetAddedAsync(string dataset, long offset);

    /// <summary>Stores one new number at all offsets and commits them together, so many times.</summary>
    [Alias("Stamp")]
    [ResponseTimeout("00:02:00")]
    Task StampAsync(string dataset, long[] offsets, long first, int times);

    /// <summary>Reads the whole range consistently, so many times; returns the numbers at the offsets, picture by picture.</summary>
    [Alias("ReadPictures")]
    [ResponseTimeout("00:02:00")]
    Task<long[][]> ReadPicturesAsync(string dataset, long[] offsets, int times);

    [Alias("Meet")]
    [ResponseTimeout("00:02:00")]
    Task MeetAsync(string barrier, int participants, int times);

    /// <summary>Occupies the base address of a dataset that is not mapped yet, then tries to map it.</summary>
    [Alias("MapOverOccupiedAddress")]
    Task MapOverOccupiedAddressAsync(string dataset);
}

/// <summary>Bytes to store at an offset, repeated <see cref="Count"/> times at a distance of <see cref="Stride"/>.</summary>
[GenerateSerializer]
[Immutable]
[Alias("hotpot.test.Store")]
public sealed record Stored
{
    [Id(0)] public required long Offset { get; init; }

    [Id(1)] public required byte[] Bytes { get; init; }

    [Id(2)] public int Count { get; init; } = 1;

    [Id(3)] public long Stride { get; init; } = 4096;
}

[GenerateSerializer]
[Immutable]
[Alias("hotpot.test.StormResult")]
public sealed record StormResult
{
    [Id(0)] public required long Touched { get; init; }

    [Id(1)] public required long Wrong { get; init; }

    [Id(2)] public required int Collections { get; init; }

    [Id(3)] public required double LongestPauseMs { get; init; }
}
