using System.Globalization;
using Hotpot.Chaos.Faults;
using Hotpot.Chaos.Node;
using Hotpot.Chaos.Verdicts;
using Hotpot.Chaos.Workload;
using Hotpot.Histories;
using Hotpot.Terminal;

namespace Hotpot.Chaos.Orchestration;

/// <summary>A run from beginning to end.</summary>
/// <remarks>
/// Silo processes with the application's grains in them; clients that call those grains all the time, several for each node; and faults, one after the other.
/// Everything a client was told becomes a line of a history. When the time is over all nodes are brought back, every dataset must become complete again, every node is read
/// from end to end, and the checkers decide.
///
/// The four kinds of objects stand for four promises: the bank and the lists for commits over several owners that fail on conflict (atomic, durable, serialisable),
/// the counters for commits that merge, the registers for a single writer (linearizable).
///
/// The orchestrator is a client without a silo. A call whose answer does not come has an unknown outcome, and the checkers take it as that.
///
/// Potential weakness: the reads that check are made by the nodes that are checked; a node that lied to all alike would be believed. Wrong bytes on one of them are seen.
/// </remarks>
internal sealed class ChaosRun(ChaosOptions options, ProgressDisplay display)
{
    private const int ClientsOfAKind = 2;
    private const int KindsOfClients = 4;

    private static readonly TimeSpan s_healTimeout = TimeSpan.FromSeconds(120);

    /// <summary>Clients go on for so long after everything is whole again, so that the end is one that works.</summary>
    private static readonly TimeSpan s_calm = TimeSpan.FromSeconds(2);

    private readonly TimeSpan _duration = TimeSpan.FromMinutes(options.Minutes);

    public async Task<ChaosResult> RunAsync(CancellationToken cancellation)
    {
        using var folder = ClusterFolder.Create("chaos", options.Medium, options.Keep);
        var good = false;
        try
        {
            using var journal = new Journal(Path.Combine(folder.Path, "journal"), display);
            journal.Write(Invariant($"Seed {options.Seed}: {options.Minutes} min on {options.Nodes} nodes, medium {Name(options.Medium)}."));
            var (network, reason) = await ClusterNetwork.TryCreateAsync(options.Nodes);
            if (reason is not null)
                journal.Write($"No partitions: {reason}");
            await using (network)
            {
                await using var cluster = new ChaosCluster(folder, options.Nodes, network, journal);
                using var recorder = new Recorder(Path.Combine(folder.Path, "history.jsonl"), journal);
                var result = await RunAsync(cluster, recorder, journal, cancellation);
                good = result.IsGood;
                return result;
            }
        }
        finally
        {
            // What went wrong is in there; an interrupted run has nothing to show.
            folder.Keep |= !good && !cancellation.IsCancellationRequested;
            if (folder.Keep)
                display.Line($"The logs, the history and the nodes' files are in {folder.Path}.");
        }
    }

    private async Task<ChaosResult> RunAsync(ChaosCluster cluster, Recorder recorder, Journal journal, CancellationToken cancellation)
    {
        var lists = Lanes.ListsFor(_duration);
        var lanes = new Lanes(lists);
        await display.RunAsync("Starting the nodes", 1, _ => cluster.CreateAsync(lists, cancellation));
        await OpenAccountsAsync(cluster);

        var faults = new FaultRunner(cluster, journal);
        using var stopping = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        var clients = Task.WhenAll(CreateClients(cluster, recorder, lanes).Select(client => Task.Run(() => client.RunAsync(stopping.Token))));
        try
        {
            await display.RunAsync(
                "Chaos", _duration.TotalSeconds, progress => faults.RunAsync(FaultPlan.Create(options.Seed, options.Nodes, options.Only), _duration, progress, cancellation));
            await display.RunAsync("Healing", 1, async _ =>
            {
                await faults.WaitAsync(s_calm, cancellation);
                if (!await cluster.WaitUntilHealthyAsync(s_healTimeout, cancellation))
                    journal.Anomaly($"copies are still missing {s_healTimeout.TotalSeconds:0} s after the last fault");
                await faults.WaitAsync(s_calm, cancellation);
            });
        }
        catch (Exception failure) when (IsFinding(failure))
        {
            journal.Anomaly(failure.Message);
        }
        finally
        {
            await stopping.CancelAsync();
            await clients;
        }

        recorder.EndGap();
        await display.RunAsync("Reading everything", 1, _ => ReadAllAsync(cluster, recorder, lanes, journal));
        return Judge(recorder, faults.Counts, journal);
    }

    private async Task ReadAllAsync(ChaosCluster cluster, Recorder recorder, Lanes lanes, Journal journal)
    {
        foreach (var slot in cluster.Slots)
        {
            try
            {
                await new FinalRead(cluster, recorder, journal, slot).RunAsync(lanes.Used, Slots);
            }
            catch (Exception failure) when (IsFinding(failure))
            {
                journal.Anomaly($"node {slot.Index} could not be read at the end: {failure.Message}");
            }
        }
    }

    /// <summary>The nodes did something that they must not; the run goes on to its verdict.</summary>
    private static bool IsFinding(Exception failure) => failure is LocalClusterException or HotpotException or OrleansException or TimeoutException;

    private int Slots => options.Nodes * ClientsOfAKind;

    private async Task OpenAccountsAsync(ChaosCluster cluster)
    {
        // The first commit to a chunk makes the committing node its owner, so owners alternate.
        foreach (var slot in cluster.Slots)
        {
            int[] accounts = [.. Enumerable.Range(0, Layout.Accounts).Where(account => account % options.Nodes == slot.Index)];
            var reply = await cluster.On(slot.Last!, slot.Index).OpenAccountsAsync(accounts, Layout.InitialBalance);
            if (reply.Outcome != Outcome.Ok)
                throw new LocalClusterException($"The accounts could not be opened on {slot.Last!.Process.Name}: {reply.Reason}");
        }
    }

    private IEnumerable<ChaosClient> CreateClients(ChaosCluster cluster, Recorder recorder, Lanes lanes)
    {
        for (var i = 0; i < Slots; i++)
        {
            var node = i % options.Nodes;
            var number = i * KindsOfClients;
            yield return new BankClient(cluster, recorder, number, node, options.Seed);
            yield return new ListClient(cluster, recorder, lanes, number + 1, node, options.Seed);
            yield return new CounterClient(cluster, recorder, i, Slots, number + 2, node, options.Seed);
            yield return new RegisterClient(cluster, recorder, number + 3, node, options.Seed);
        }
    }

    private ChaosResult Judge(Recorder recorder, FaultCounts counts, Journal journal)
    {
        var verdict = HistoryVerdict.Of(recorder.Operations);
        foreach (var finding in verdict.Lost.Concat(verdict.Others))
            journal.Write($"ANOMALY {finding}");
        journal.Note($"{verdict.Disregarded} reads of nodes that had been declared dead are disregarded.");
        foreach (var reason in recorder.DescribeReasons())
            journal.Note(reason);
        var result = new ChaosResult(
            options.Seed, options.Minutes, Name(options.Medium), options.Nodes, recorder.Acked, recorder.Unknown, recorder.Failed, verdict.Lost.Count,
            verdict.Others.Count + journal.Anomalies.Count, counts.Kills, counts.Partitions, counts.Stops, counts.RollingRestarts, counts.LostDirectories, counts.Fenced,
            counts.Skipped, recorder.MaxUnavailableUs / 1000, ChaosResult.Fail);
        result = result with { Verdict = result.IsGood ? ChaosResult.Pass : ChaosResult.Fail };
        Summarise(result, journal, verdict);
        return result;
    }

    private void Summarise(ChaosResult result, Journal journal, HistoryVerdict verdict)
    {
        // On a terminal nothing of it has been shown yet.
        if (display.IsTerminal)
        {
            foreach (var finding in journal.Anomalies.Concat(verdict.Lost).Concat(verdict.Others))
                display.Line(finding);
        }

        display.Table(
            ["chaos", ""],
            [
                ["commits acknowledged, unknown, refused", Invariant($"{result.Acked}, {result.Unknown}, {result.Failed}")],
                ["kills, stops, partitions", Invariant($"{result.Kills}, {result.Stops}, {result.Partitions}")],
                ["rolling restarts, directories lost", Invariant($"{result.RollingRestarts}, {result.LostDirectories}")],
                ["longest time without a commit", Invariant($"{result.MaxUnavailableMs} ms")],
                ["acknowledged commits lost", Invariant($"{result.Lost}")],
                ["anomalies", Invariant($"{result.Anomalies}")],
                ["verdict", result.Verdict],
            ]);
    }

    private static string Name(Medium medium) => medium.ToString().ToLowerInvariant();

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
