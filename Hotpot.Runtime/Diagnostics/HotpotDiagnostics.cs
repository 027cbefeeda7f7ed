using System.Diagnostics;
using System.Diagnostics.Metrics;

namespace Hotpot.Runtime.Diagnostics;

/// <summary>
/// The names under which a process can be observed, and the instruments that managed code records. What the engine counts
/// itself is in <see cref="EngineMetrics"/>. All names are listed in docs/configuration.md.
/// </summary>
public static class HotpotDiagnostics
{
    public const string MeterName = "Hotpot";

    public const string ActivitySourceName = "Hotpot";

    /// <summary>Spans: hotpot.commit, with one child for each phase; hotpot.acquire; hotpot.recover.</summary>
    public static ActivitySource Activities { get; } = new(ActivitySourceName, Version);

    internal static string Version => typeof(HotpotDiagnostics).Assembly.GetName().Version?.ToString(3) ?? "0";

    private static readonly Meter Instruments = new(MeterName, Version);

    private static readonly Histogram<double> CommitPhaseDuration = Instruments.CreateHistogram<double>(
        "hotpot.commit.phase.duration", "s", "How long each phase of this node's commits took.");

    private static readonly Histogram<double> CommitDuration = Instruments.CreateHistogram<double>(
        "hotpot.commit.duration", "s", "How long this node's commits took, retries included.");

    private static readonly Histogram<double> AcquireDuration = Instruments.CreateHistogram<double>(
        "hotpot.acquire.duration", "s", "How long this node waited for grants that it did not hold yet.");

    /// <summary>Begins a phase of a commit; disposing the result records its duration and ends its span.</summary>
    public static PhaseScope BeginCommitPhase(CommitPhase phase) => new(phase);

    /// <param name="startTimestamp">From <see cref="Stopwatch.GetTimestamp"/>.</param>
    /// <param name="status">How the commit ended.</param>
    public static void RecordCommit(long startTimestamp, HotpotStatus status) =>
        CommitDuration.Record(
            Stopwatch.GetElapsedTime(startTimestamp).TotalSeconds, new KeyValuePair<string, object?>("status", StatusName(status)));

    /// <inheritdoc cref="RecordCommit"/>
    public static void RecordAcquire(long startTimestamp, HotpotStatus status) =>
        AcquireDuration.Record(
            Stopwatch.GetElapsedTime(startTimestamp).TotalSeconds, new KeyValuePair<string, object?>("status", StatusName(status)));

    private static string StatusName(HotpotStatus status) => Enum.GetName(status) ?? "Failed";

    /// <summary>One phase under way. It is a structure so that an unobserved commit allocates nothing for it.</summary>
    public readonly struct PhaseScope : IDisposable
    {
        // Indexed by CommitPhase, so that measuring does not build strings.
        private static readonly string[] PhaseNames = ["collect", "assign", "stage", "prepare", "commit", "abort"];
        private static readonly string[] SpanNames = Array.ConvertAll(PhaseNames, name => "hotpot.commit." + name);

        private readonly CommitPhase _phase;
        private readonly long _started;
        private readonly Activity? _activity;

        internal PhaseScope(CommitPhase phase)
        {
            _phase = phase;
            _started = Stopwatch.GetTimestamp();
            _activity = Activities.StartActivity(SpanNames[(int)phase]);
        }

        public void Dispose()
        {
            CommitPhaseDuration.Record(
                Stopwatch.GetElapsedTime(_started).TotalSeconds, new KeyValuePair<string, object?>("phase", PhaseNames[(int)_phase]));
            _activity?.Dispose();
        }
    }
}

/// <summary>The steps of a commit on the commit node, in their order; abort takes the place of commit.</summary>
public enum CommitPhase
{
    /// <summary>Finding the changed bytes.</summary>
    Collect = 0,

    /// <summary>Giving an owner to chunks that have none.</summary>
    Assign = 1,

    /// <summary>Sending each owner its part.</summary>
    Stage = 2,

    /// <summary>Locking, logging and replicating at the owners.</summary>
    Prepare = 3,

    /// <summary>Applying at the owners and the sharers. With one owner this contains the preparation.</summary>
    Commit = 4,

    Abort = 5,
}
