using System.Runtime.InteropServices;
using Hotpot.Runtime.Diagnostics;
using Hotpot.Runtime.Interop;

namespace Hotpot.Runtime;

// The managed face of one hp_engine: one per data directory, normally one per process.
//
// Three kinds of calls, as in hotpot.h:
//  - plain calls return without waiting for a peer or a disk; they are ordinary methods and throw a HotpotException;
//  - asynchronous calls return a ValueTask<Completion> that the completion pump completes; what goes wrong is a status in the
//    Completion, never an exception, because a commit branches on it;
//  - blocking calls may sleep for the time-out they are given. Each has a synchronous form, for threads that may sleep, and
//    an Async form that sleeps on a thread of the pool.
//
// Every call is an ordinary P/Invoke, so a GC never waits for one that sleeps (design notes, "the one rule").
// All members may be called from any thread. The handle's reference count keeps the engine alive under a call that
// runs while DisposeAsync is called; that call then ends with EngineClosedException.
public sealed unsafe partial class Engine : IAsyncDisposable, IDisposable
{
    private readonly EngineHandle _handle;
    private readonly CompletionPump _pump;
    private readonly EngineMetrics _metrics;

    // Written once, by the first DisposeAsync.
    private int _disposed;

    private Engine(EngineHandle handle)
    {
        _handle = handle;
        HpNodeInfo info;
        EngineInterop.Info(handle, &info);
        Info = new NodeInfo
        {
            NodeId = new NodeId(info.NodeId),
            Incarnation = new Incarnation(info.Incarnation),
            FabricAddress = info.Address(),
            Userfaultfd = info.Userfaultfd != 0,
            PagemapScan = info.PagemapScan != 0,
            MediumIsPmem = info.MediumIsPmem != 0,
        };
        _pump = new CompletionPump(handle);
        _metrics = new EngineMetrics(this);
    }

    public NodeInfo Info { get; }

    public NodeId NodeId => Info.NodeId;

    public Incarnation Incarnation => Info.Incarnation;

    /// <summary>Completions that belonged to no call: always zero unless the native side is defective.</summary>
    public long StrayCompletions => _pump.StrayCompletions;

    internal EngineHandle Handle => _handle;

    /// <summary>Opens the data directory and replays its log. Blocking: the time grows with the log.</summary>
    public static Engine Start(EngineSettings settings)
    {
        uint abi = EngineInterop.AbiVersion();
        if (abi != Libhotpot.AbiVersion)
            throw new VersionMismatchException(
                $"libhotpot.so speaks ABI {abi} but this program was built for {Libhotpot.AbiVersion}; build both from the same sources.");
        return new Engine(Create(settings));
    }

    /// <inheritdoc cref="Start"/>
    public static Task<Engine> StartAsync(EngineSettings settings, CancellationToken cancellationToken = default) =>
        Task.Run(() => Start(settings), cancellationToken);

    /// <summary>
    /// Stops the engine: calls in flight end with <see cref="HotpotStatus.Closed"/>, views are unmapped, the log is flushed
    /// and the store checkpointed. Unmap and leave the cluster first; a thread that still uses a view dies of SIGSEGV.
    /// </summary>
    public ValueTask DisposeAsync() => new(Task.Run(Dispose));

    /// <inheritdoc cref="DisposeAsync"/>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
            return;
        _metrics.Dispose();
        EngineInterop.Stop(_handle);
        _pump.Join();
        _handle.Dispose();
    }

    public EngineStatistics Statistics()
    {
        EngineStatistics statistics;
        NativeStatus.Check(StatisticsInterop.Engine(_handle, &statistics), "The figures of the engine are not available");
        return statistics;
    }

    private static EngineHandle Create(EngineSettings settings)
    {
        byte* dataDirectory = Utf8(settings.DataDirectory);
        byte* bindAddress = Utf8(settings.BindAddress);
        byte* transports = Utf8(settings.Transports);
        byte* crashAt = Utf8(settings.CrashAt);
        try
        {
            fixed (byte* key = settings.ClusterKey.Span)
            {
                HpConfig config = new()
                {
                    StructSize = (uint)sizeof(HpConfig),
                    AbiVersion = Libhotpot.AbiVersion,
                    Medium = (uint)settings.Medium,
                    Flags = (settings.UseUserfaultfd ? 0 : EngineInterop.FlagNoUserfaultfd)
                        | (settings.UsePagemapScan ? 0 : EngineInterop.FlagNoPagemapScan),
                    DataDirectory = dataDirectory,
                    BindAddress = bindAddress,
                    Transports = transports,
                    CrashAt = crashAt,
                    ClusterKey = key,
                    ClusterKeyBytes = (uint)settings.ClusterKey.Length,
                    MissTimeoutMs = Milliseconds(settings.MissTimeout),
                    LogSegmentBytes = checked((ulong)settings.LogSegmentBytes),
                    CheckpointLogBytes = checked((ulong)settings.CheckpointLogBytes),
                    SpinUs = checked((uint)settings.Spin.TotalMicroseconds),
                    ReadAheadPages = checked((uint)settings.ReadAheadPages),
                    LogLimitBytes = checked((ulong)(settings.LogLimitBytes ?? 0)),
                    FrontBudgetBytes = checked((ulong)(settings.FrontBudget ?? 0)),
                };
                nint engine = 0;
                HpError error = default;
                NativeStatus.Check(
                    EngineInterop.Create(&config, &engine, &error), error, $"The engine of '{settings.DataDirectory}' did not start");
                return new EngineHandle(engine);
            }
        }
        finally
        {
            Marshal.FreeCoTaskMem((nint)dataDirectory);
            Marshal.FreeCoTaskMem((nint)bindAddress);
            Marshal.FreeCoTaskMem((nint)transports);
            Marshal.FreeCoTaskMem((nint)crashAt);
        }
    }

    private static byte* Utf8(string? text) => (byte*)Marshal.StringToCoTaskMemUTF8(text);

    /// <summary>Native time-outs are milliseconds in 32 bits; anything longer, or infinite, becomes the longest possible.</summary>
    internal static uint Milliseconds(TimeSpan time)
    {
        if (time == Timeout.InfiniteTimeSpan || time.TotalMilliseconds >= uint.MaxValue)
            return uint.MaxValue;
        if (time < TimeSpan.Zero)
            throw new InvalidRequestException($"A time-out of {time} is negative; give a positive one.");
        return (uint)Math.Ceiling(time.TotalMilliseconds);
    }

    /// <summary>The task of an asynchronous native call that has been started, its completion where the call waited for it in place, or its refusal.</summary>
    internal ValueTask<Completion> Started(PendingOperation operation, ValueTask<Completion> task, int status, string? message, in HpCompletion now = default)
    {
        bool ended = status != (int)HotpotStatus.Ok || now.Token == operation.Token;
        if (!ended)
            return task;
        _pump.Return(operation);
        if (status == (int)HotpotStatus.Ok)
            return new ValueTask<Completion>(new Completion((HotpotStatus)now.Status, (int)now.Degree, now.Value));
        return new ValueTask<Completion>(new Completion((HotpotStatus)status, 0, 0, message));
    }

    internal PendingOperation? Rent() => _pump.Rent();

    internal static ValueTask<Completion> Closed() => new(new Completion(HotpotStatus.Closed, 0, 0));
}
