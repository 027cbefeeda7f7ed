using System.Collections.Concurrent;
using System.Diagnostics;
using System.Runtime.InteropServices;
using Hotpot.Grains.Placement;

namespace Hotpot.ClusterNode;

/// <summary>Keeps each dataset mapped for the life of the process.</summary>
internal sealed class Mappings(IHotpot hotpot)
{
    private readonly ConcurrentDictionary<string, Lazy<Task<(Dataset, Mapping)>>> _open = new(StringComparer.Ordinal);

    public Task<(Dataset Dataset, Mapping Mapping)> OpenAsync(string name) =>
        _open.GetOrAdd(name, key => new Lazy<Task<(Dataset, Mapping)>>(async () =>
        {
            Dataset dataset = await hotpot.OpenAsync(key);
            return (dataset, dataset.Map());
        })).Value;
}

/// <summary>What goes on in this process after the call that began it has returned, by dataset and offset.</summary>
internal sealed class Background
{
    public ConcurrentDictionary<(string Dataset, long Offset), Task<IGrant>> Grants { get; } = [];

    public ConcurrentDictionary<(string Dataset, long Offset), Adding> Adding { get; } = [];
}

internal sealed class Adding
{
    // Written by the adding task only.
    public volatile int Acknowledged;

    // Written once, by the call that began it.
    public Task Task { get; set; } = Task.CompletedTask;
}

[OnNode]
[Reentrant]
internal sealed partial class ProbeGrain(IHotpot hotpot, Mappings mappings, Background background) : Grain, IProbeGrain
{
    public async Task<CommitResult> StoreAndCommitAsync(string dataset, Stored[] stores, CommitOptions options)
    {
        (Dataset opened, Mapping mapping) = await mappings.OpenAsync(dataset);
        await Task.Run(() => Apply(mapping, stores));
        return await opened.CommitAsync(options);
    }

    public async Task StoreAsync(string dataset, Stored[] stores)
    {
        (_, Mapping mapping) = await mappings.OpenAsync(dataset);
        await Task.Run(() => Apply(mapping, stores));
    }

    public async Task<CommitResult> CommitAsync(string dataset, CommitOptions options)
    {
        (Dataset opened, _) = await mappings.OpenAsync(dataset);
        return await opened.CommitAsync(options);
    }

    public async Task AddAsync(string dataset, long offset, int times)
    {
        (Dataset opened, Mapping mapping) = await mappings.OpenAsync(dataset);
        CommitOptions strict = new() { FailOnConflict = true };
        for (int added = 0; added < times;)
        {
            // One instruction: with a load and a store, another node's commit may come between them, and a store over bytes that never were loaded is no conflict.
            await Task.Run(() => Interlocked.Increment(ref mapping.Ref<long>(offset)));
            try
            {
                await opened.CommitAsync(strict);
                added++;
            }
            catch (ConflictException)
            {
                await opened.DiscardAsync();
            }
        }
    }

    public async Task<byte[]> LoadAsync(string dataset, long offset, int length)
    {
        (_, Mapping mapping) = await mappings.OpenAsync(dataset);
        return await Task.Run(() =>
        {
            byte[] bytes = new byte[length];
            for (int i = 0; i < length; i++)  // Plain loads: a span would be prefetched.
                bytes[i] = mapping.ReadOnlyRef<byte>(offset + i);
            return bytes;
        });
    }

    public async Task StorePointerAsync(string dataset, long at, long target, long value)
    {
        (Dataset opened, Mapping mapping) = await mappings.OpenAsync(dataset);
        mapping.Ref<ulong>(at) = mapping.AddressOf(target);
        mapping.Ref<long>(target) = value;
        await opened.CommitAsync();
    }

    public async Task<long> FollowPointerAsync(string dataset, long at)
    {
        (_, Mapping mapping) = await mappings.OpenAsync(dataset);
        return Follow(mapping, at);
    }

    public async Task<StormResult> GcStormAsync(string dataset, int pages, int threads, int rounds)
    {
        (_, Mapping mapping) = await mappings.OpenAsync(dataset);
        long touched = 0, wrong = 0, longest = 0;
        int collections = 0, running = threads;
        Task[] touching = [.. Enumerable.Range(0, threads).Select(thread => Task.Factory.StartNew(
            () =>
            {
                // Each thread has its own stripe, in an order that defeats read-ahead.
                for (int round = 0; round < rounds; round++)
                {
                    for (int i = thread; i < pages; i += threads)
                    {
                        int page = (int)((long)i * 2654435761L % pages);
                        byte[] garbage = new byte[256];
                        long value = mapping.ReadOnlyRef<long>((long)page * Limits.PageBytes);
                        GC.KeepAlive(garbage);
                        Interlocked.Increment(ref touched);
                        if (value != page + 1)
                            Interlocked.Increment(ref wrong);
                    }
                }
                Interlocked.Decrement(ref running);
            },
            CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default))];
        using ManualResetEventSlim gap = new();
        Task collecting = Task.Factory.StartNew(
            () =>
            {
                do  // once at least, also where the touching is over before this thread begins
                {
                    long started = Stopwatch.GetTimestamp();
                    GC.Collect();
                    longest = Math.Max(longest, Stopwatch.GetTimestamp() - started);
                    collections++;
                    // Collections without any gap starve every other thread of the process, with or without misses.
                    gap.Wait(TimeSpan.FromMilliseconds(1));
                }
                while (Volatile.Read(ref running) > 0);
            },
            CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        await Task.WhenAll([.. touching, collecting]);
        return new StormResult { Touched = touched, Wrong = wrong, Collections = collections, LongestPauseMs = longest * 1000.0 / Stopwatch.Frequency };
    }

    public Task ArmCrashAsync(string point)
    {
        CrashPoint.Arm(point);
        ArmNativeCrash(point);
        return Task.CompletedTask;
    }

    public async Task HoldGrantAsync(string dataset, long offset, long length, Stored[] stores)
    {
        (Dataset opened, Mapping mapping) = await mappings.OpenAsync(dataset);
        await using IGrant grant = await opened.AcquireAsync(new ByteRange(offset, length));
        await Task.Run(() => Apply(mapping, stores));
        await opened.CommitAsync(new ByteRange(offset, length));
    }

    public async Task StartAcquiringAsync(string dataset, long offset, long length)
    {
        (Dataset opened, _) = await mappings.OpenAsync(dataset);
        background.Grants[(dataset, offset)] = Task.Run(() => opened.AcquireAsync(new ByteRange(offset, length), TimeSpan.FromMinutes(2)));
    }

    public async Task<bool> HasGrantAsync(string dataset, long offset)
    {
        Task<IGrant> acquiring = background.Grants[(dataset, offset)];
        if (acquiring.IsCompleted)
            await acquiring;
        return acquiring.IsCompleted;
    }

    public async Task ReleaseAsync(string dataset, long offset)
    {
        background.Grants.TryRemove((dataset, offset), out Task<IGrant>? held);
        await (await held!).DisposeAsync();
    }

    public async Task StartAddingAsync(string dataset, long offset, int times)
    {
        (Dataset opened, Mapping mapping) = await mappings.OpenAsync(dataset);
        Adding adding = background.Adding[(dataset, offset)] = new Adding();
        CommitOptions options = new() { MinDegree = 1, Timeout = TimeSpan.FromMinutes(1) };
        adding.Task = Task.Run(async () =>
        {
            for (int i = 0; i < times; i++)
            {
                mapping.Ref<long>(offset)++;
                await opened.CommitAsync(new ByteRange(offset, sizeof(long)), options);
                adding.Acknowledged = i + 1;
            }
        });
    }

    public async Task<int> GetAddedAsync(string dataset, long offset)
    {
        Adding adding = background.Adding[(dataset, offset)];
        if (adding.Task.IsCompleted)
            await adding.Task;
        return adding.Acknowledged;
    }

    public async Task StampAsync(string dataset, long[] offsets, long first, int times)
    {
        (Dataset opened, Mapping mapping) = await mappings.OpenAsync(dataset);
        CommitOptions options = new() { Timeout = TimeSpan.FromMinutes(1) };
        ByteRange[] ranges = [.. offsets.Select(offset => new ByteRange(offset, sizeof(long)))];
        for (long value = first; value < first + times; value++)
        {
            await Task.Run(() =>
            {
                foreach (long offset in offsets)
                    mapping.Ref<long>(offset) = value;
            });
            await opened.CommitAsync(ranges, options);
        }
    }

    public async Task<long[][]> ReadPicturesAsync(string dataset, long[] offsets, int times)
    {
        Dataset opened = await hotpot.OpenAsync(dataset);
        byte[] bytes = new byte[offsets.Max() - offsets.Min() + sizeof(long)];
        long[][] pictures = new long[times][];
        for (int i = 0; i < times; i++)
        {
            await opened.ReadConsistentAsync(offsets.Min(), bytes, TimeSpan.FromMinutes(1));
            pictures[i] = [.. offsets.Select(offset => BitConverter.ToInt64(bytes, (int)(offset - offsets.Min())))];
        }
        return pictures;
    }

    public async Task AcquireTwiceAsync(string dataset)
    {
        (Dataset opened, _) = await mappings.OpenAsync(dataset);
        await using IGrant first = await opened.AcquireAsync(new ByteRange(0, 4096));
        await using IGrant second = await opened.AcquireAsync(new ByteRange(0, 4096));
    }

    public async Task MeetAsync(string barrier, int participants, int times)
    {
        DistributedBarrier meeting = hotpot.Barrier(barrier, participants);
        for (int i = 0; i < times; i++)
            await meeting.ArriveAndWaitAsync();
    }

    public async Task MapOverOccupiedAddressAsync(string dataset)
    {
        Dataset opened = await hotpot.OpenAsync(dataset);
        const int protNone = 0, mapPrivateAnonymousFixed = 0x2 | 0x20 | 0x100000;
        nint occupied = Mmap((nint)opened.BaseAddress, 4096, protNone, mapPrivateAnonymousFixed, -1, 0);
        if ((ulong)occupied != opened.BaseAddress)
            throw new InvalidOperationException($"The test could not occupy 0x{opened.BaseAddress:x}.");
        try
        {
            using Mapping mapping = opened.Map();
        }
        finally
        {
            _ = Munmap(occupied, 4096);
        }
    }

    private static void Apply(Mapping mapping, Stored[] stores)
    {
        foreach (Stored store in stores)
        {
            for (int i = 0; i < store.Count; i++)
                store.Bytes.CopyTo(mapping.GetSpan(store.Offset + i * store.Stride, store.Bytes.Length));
        }
    }

    private static unsafe long Follow(Mapping mapping, long at) => *(long*)mapping.ReadOnlyRef<ulong>(at);

    [LibraryImport("hotpot", EntryPoint = "hp_test_crash_at", StringMarshalling = StringMarshalling.Utf8)]
    private static partial void ArmNativeCrash(string point);

    [LibraryImport("libc", EntryPoint = "mmap")]
    private static partial nint Mmap(nint address, nuint length, int protection, int flags, int descriptor, nint offset);

    [LibraryImport("libc", EntryPoint = "munmap")]
    private static partial int Munmap(nint address, nuint length);
}
