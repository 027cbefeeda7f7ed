using System.Diagnostics;
using Hotpot.Chaos.Orchestration;

namespace Hotpot.Chaos.Faults;

/// <summary>Carries faults out, one after the other, and brings every node back before the next.</summary>
/// <remarks>
/// "Back" means that the process says it is ready, not that every copy is complete again: the next fault may well meet the recovery from the last. Only a
/// data directory is never removed while a copy is missing anywhere, because that could take away the last one, and rightly so.
///
/// A process that ends although nobody ended it is looked for between the faults. One that the others had declared dead says so in its exit code and is started
/// again; any other end is a crash, and an anomaly.
/// </remarks>
internal sealed class FaultRunner(ChaosCluster cluster, Journal journal)
{
    private static readonly TimeSpan s_poll = TimeSpan.FromMilliseconds(100);

    /// <summary>How long a stopped process may take to notice that it was declared dead, and an ordered one to leave.</summary>
    private static readonly TimeSpan s_exitTimeout = TimeSpan.FromSeconds(60);

    private static readonly TimeSpan s_healthTimeout = TimeSpan.FromSeconds(60);

    public FaultCounts Counts { get; } = new();

    public async Task RunAsync(IEnumerable<Fault> plan, TimeSpan duration, IProgress<double> progress, CancellationToken cancellation)
    {
        var started = Stopwatch.GetTimestamp();
        foreach (var fault in plan)
        {
            await WaitAsync(fault.Pause, cancellation);
            if (Stopwatch.GetElapsedTime(started) >= duration)
                return;
            progress.Report(Stopwatch.GetElapsedTime(started).TotalSeconds);
            journal.Write(fault.ToString());
            await CarryOutAsync(fault, cancellation);
        }
    }

    /// <summary>Waits, and meanwhile starts again what has ended by itself.</summary>
    public async Task WaitAsync(TimeSpan time, CancellationToken cancellation)
    {
        var started = Stopwatch.GetTimestamp();
        do
        {
            foreach (var slot in cluster.Slots)
            {
                if (slot.Last!.Process.HasExited)
                {
                    await NoteExitAsync(slot);
                    await cluster.StartAsync(slot, cancellation);
                }
            }

            await Task.Delay(s_poll, cancellation);
        }
        while (Stopwatch.GetElapsedTime(started) < time);
    }

    private Task CarryOutAsync(Fault fault, CancellationToken cancellation)
    {
        NodeSlot[] met = [.. fault.Nodes.Select(node => cluster.Slots[node])];
        return fault.Kind switch
        {
            FaultKind.Stop => StopAsync(met[0], fault.Hold, cancellation),
            FaultKind.Pause => PauseAsync(met[0], fault.Hold, cancellation),
            FaultKind.LoseDirectory => LoseAsync(met, fault.Hold, cancellation),
            FaultKind.RollingRestart => RestartAsync(met, cancellation),
            FaultKind.Partition => PartitionAsync(met[0], fault.Hold, cancellation),
            FaultKind.KillDuringRecovery => KillAsync(met, fault.Gap, fault.Hold, cancellation),
            _ => KillAsync(met, TimeSpan.Zero, fault.Hold, cancellation),
        };
    }

    private async Task KillAsync(NodeSlot[] met, TimeSpan gap, TimeSpan hold, CancellationToken cancellation)
    {
        foreach (var slot in met)
        {
            if (slot != met[0] && gap > TimeSpan.Zero)
                await Task.Delay(gap, cancellation);
            BeginKill(slot);
        }

        await Task.Delay(hold, cancellation);
        await StartAsync(met, cancellation);
    }

    private async Task LoseAsync(NodeSlot[] met, TimeSpan hold, CancellationToken cancellation)
    {
        if (!await cluster.WaitUntilHealthyAsync(s_healthTimeout, cancellation))
        {
            journal.Write("skipped: copies are missing");
            Counts.Skipped++;
            return;
        }

        foreach (var slot in met)
            BeginKill(slot);
        foreach (var slot in met)
        {
            await slot.Last!.Process.WaitForExitAsync(cancellation);
            Directory.Delete(cluster.Folder.DataDirectory(slot.Index), recursive: true);
            Counts.LostDirectories++;
        }

        await Task.Delay(hold, cancellation);
        await StartAsync(met, cancellation);
    }

    private async Task StopAsync(NodeSlot slot, TimeSpan hold, CancellationToken cancellation)
    {
        var process = slot.Last!.Process;
        slot.Last.SuspectFromUs = Clock.NowUs;
        Counts.Stops++;
        process.Stop();
        try
        {
            await Task.Delay(hold, cancellation);
        }
        finally
        {
            process.Continue();
        }

        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        limit.CancelAfter(s_exitTimeout);
        try
        {
            await process.WaitForExitAsync(limit.Token);
            await NoteExitAsync(slot);
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            journal.Anomaly($"{process.Name} was stopped for {hold.TotalSeconds:0.0} s and has not noticed that it was declared dead {s_exitTimeout.TotalSeconds:0} s later");
            BeginKill(slot);
        }

        await StartAsync([slot], cancellation);
    }

    private async Task PauseAsync(NodeSlot slot, TimeSpan hold, CancellationToken cancellation)
    {
        Counts.Stops++;
        slot.Last!.Process.Stop();
        try
        {
            await Task.Delay(hold, cancellation);
        }
        finally
        {
            slot.Last.Process.Continue();
        }
    }

    private async Task RestartAsync(NodeSlot[] met, CancellationToken cancellation)
    {
        foreach (var slot in met)
        {
            var process = slot.Last!.Process;
            slot.SetDown();
            process.Terminate();
            using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
            limit.CancelAfter(s_exitTimeout);
            try
            {
                await process.WaitForExitAsync(limit.Token);
                if (!process.EndedInOrder)
                    journal.Anomaly($"{process.Name} was told to stop with SIGTERM and ended with exit code {process.ExitCode}");
            }
            catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
            {
                journal.Anomaly($"{process.Name} was told to stop with SIGTERM and still runs {s_exitTimeout.TotalSeconds:0} s later");
                BeginKill(slot);
            }

            await StartAsync([slot], cancellation);
        }

        Counts.RollingRestarts++;
    }

    private async Task PartitionAsync(NodeSlot slot, TimeSpan hold, CancellationToken cancellation)
    {
        if (cluster.Network is not { } network)
        {
            journal.Write("skipped: there are no network namespaces here");
            Counts.Skipped++;
            return;
        }

        Counts.Partitions++;
        await network.CutAsync(slot.Index);
        try
        {
            await Task.Delay(hold, cancellation);
        }
        finally
        {
            await network.HealAsync(slot.Index);
        }
    }

    private void BeginKill(NodeSlot slot)
    {
        // Clients that begin now wait; those under way lose their answers.
        slot.SetDown();
        slot.Last!.Process.BeginKill();
        Counts.Kills++;
    }

    private Task StartAsync(NodeSlot[] met, CancellationToken cancellation) => Task.WhenAll(met.Select(slot => cluster.StartAsync(slot, cancellation)));

    /// <summary>A process has ended although nobody ended it.</summary>
    private async Task NoteExitAsync(NodeSlot slot)
    {
        slot.SetDown();
        var life = slot.Last!;
        await life.Process.WaitForExitAsync(CancellationToken.None);
        // It was declared dead at some time before it noticed; long ago enough for any stop that nobody here ordered.
        life.SuspectFromUs ??= Clock.NowUs - (long)s_exitTimeout.TotalMicroseconds;
        if (life.Process.EndedFenced)
        {
            journal.Write($"{life.Process.Name} had been declared dead and ended");
            Counts.Fenced++;
        }
        else
        {
            journal.Anomaly($"{life.Process.Name} ended by itself with exit code {life.Process.ExitCode}");
        }
    }
}
