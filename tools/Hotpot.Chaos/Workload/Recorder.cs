using System.Globalization;
using Hotpot.Chaos.Faults;
using Hotpot.Chaos.Node;
using Hotpot.Chaos.Orchestration;
using Hotpot.Histories;
using Hotpot.Histories.Json;

namespace Hotpot.Chaos.Workload;

/// <summary>How an operation came by what it read.</summary>
internal enum Evidence
{
    /// <summary>By a commit that would have failed had it changed meanwhile.</summary>
    Commit,

    /// <summary>By an object's owner: under a grant.</summary>
    Grant,

    /// <summary>By this node's copy.</summary>
    Load,
}

/// <summary>An operation, and who answered.</summary>
internal sealed record Recorded(Operation Operation, Evidence Evidence, NodeLife? Life);

/// <summary>Keeps what every client saw, in memory and line by line in a file. Any thread.</summary>
internal sealed class Recorder(string file, Journal journal) : IDisposable
{
    private readonly HistoryWriter _writer = new(new StreamWriter(file));

    // What a history has no place for and a person who reads one may want; written under _lock.
    private readonly StreamWriter _details = new(file + ".details");
    // Worth a line in the journal.
    private const long NotableGapUs = 2_000_000;

    private readonly Lock _lock = new();

    // All written under _lock.
    private readonly List<Recorded> _operations = [];
    private readonly Dictionary<string, long> _reasons = new(StringComparer.Ordinal);
    private long _lastCommitUs = Clock.NowUs;

    /// <summary>Commits that were acknowledged, without an answer, and refused.</summary>
    public long Acked { get; private set; }

    public long Unknown { get; private set; }

    public long Failed { get; private set; }

    /// <summary>The longest time between two successful commits.</summary>
    public long MaxUnavailableUs { get; private set; }

    public Recorded[] Operations
    {
        get
        {
            lock (_lock)
                return [.. _operations];
        }
    }

    /// <param name="reply">Null: the call ended in an exception.</param>
    public void Add(Recorded recorded, Reply? reply, string? failure)
    {
        _writer.Write(recorded.Operation);
        if (reply?.Anomaly is { } anomaly)
            journal.Anomaly($"{anomaly}, seen by {recorded.Operation.Client} on node {recorded.Operation.Node}");
        lock (_lock)
        {
            _operations.Add(recorded);
            if ((failure ?? reply?.Reason ?? reply?.Commit) is { } detail)
            {
                var before = recorded.Operation.Kind == Histories.Workload.Bank && reply?.Reads is [[_, _]] ? $", {reply.Reads[0][0]} and {reply.Reads[0][1]} before" : "";
                _details.WriteLine($"{recorded.Operation.Client}/{recorded.Operation.Id}: {detail}{before}");
            }

            if ((failure ?? reply?.Reason) is { } reason)
            {
                var kind = $"{recorded.Operation.Kind} {recorded.Operation.Outcome} {reason.Split(':', '.')[0]}";
                _reasons[kind] = _reasons.GetValueOrDefault(kind) + 1;
            }

            if (!IsCommit(recorded.Operation))
                return;
            switch (recorded.Operation.Outcome)
            {
                case Outcome.Ok:
                    Acked++;
                    EndGap(recorded.Operation.CompleteUs!.Value);
                    break;
                case Outcome.Fail:
                    Failed++;
                    break;
                default:
                    Unknown++;
                    break;
            }
        }
    }

    /// <summary>The end of the run: what is going on until now counts too.</summary>
    public void EndGap()
    {
        lock (_lock)
            EndGap(Clock.NowUs);
    }

    /// <summary>Why operations did not succeed, most frequent first.</summary>
    public IEnumerable<string> DescribeReasons()
    {
        lock (_lock)
            return [.. _reasons.OrderByDescending(reason => reason.Value).Select(reason => $"{reason.Value} x {reason.Key}")];
    }

    public void Dispose()
    {
        _writer.Dispose();
        _details.Dispose();
    }

    private void EndGap(long nowUs)
    {
        if (nowUs - _lastCommitUs > NotableGapUs)
            journal.Write(string.Create(CultureInfo.InvariantCulture, $"no commit succeeded for {(nowUs - _lastCommitUs) / 1e6:0.0} s until now"));
        MaxUnavailableUs = Math.Max(MaxUnavailableUs, nowUs - _lastCommitUs);
        _lastCommitUs = Math.Max(_lastCommitUs, nowUs);
    }

    private static bool IsCommit(Operation operation) => operation.Accesses.Any(access => access.Kind != AccessKind.Read);
}
