using System.CommandLine;
using Hotpot.Cli.Output;
using Hotpot.Cli.Processes;

namespace Hotpot.Cli.Cluster;

/// <summary>`cluster down`: stops silos; their data stays.</summary>
/// <remarks>
/// Silos are stopped one after the other, because each hands its chunks to those that are still there before it flushes and
/// leaves. A process is signalled only when it is still the one that was started (see <see cref="ProcessSignal"/>).
/// </remarks>
internal static class ClusterDown
{
    public static Command Create(Option<string> directory)
    {
        var only = new Option<string[]>("--node") { Description = "Stop only this node, such as node-2; may be repeated." };
        var kill = new Option<bool>("--kill") { Description = "Kill with SIGKILL, as a crash would: nothing is handed over or flushed." };
        var timeout = new Option<int>("--timeout") { Description = "Seconds that each silo may take to leave.", DefaultValueFactory = _ => 60 };
        timeout.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<int>() < 1)
                result.AddError("--timeout must be at least 1 second.");
        });
        var command = new Command("down", "Stops the silos of a cluster on this machine; their data stays for the next up.") { directory, only, kill, timeout };
        command.SetAction((parsed, cancellation) => CommandRunner.RunAsync(() => RunAsync(
            new ClusterFolder(parsed.GetValue(directory)!), parsed.GetValue(only) ?? [], parsed.GetValue(kill) ? ProcessSignal.Kill : ProcessSignal.Terminate,
            TimeSpan.FromSeconds(parsed.GetValue(timeout)), cancellation)));
        return command;
    }

    private static async Task RunAsync(ClusterFolder folder, string[] only, int signal, TimeSpan timeout, CancellationToken cancellation)
    {
        folder.Load();
        using var exclusive = folder.Lock();
        var state = folder.Load();
        foreach (var name in only)
        {
            if (state.Nodes.All(node => node.Name != name))
                throw new CommandException(ExitCodes.NotFound, $"The cluster in {folder.Root} has no {name}; ./hotpot cluster status lists its nodes.");
        }

        var running = state.Nodes.Where(node => node.IsRunning && (only.Length == 0 || only.Contains(node.Name))).ToArray();
        var stuck = new List<string>();
        await Screen.ProgressAsync($"Stopping {running.Length} silos", Math.Max(running.Length, 1), async progress =>
        {
            for (var index = 0; index < running.Length; index++)
            {
                var process = running[index].Process!;
                ProcessSignal.Send(process, signal);
                if (!await BackgroundProcess.WaitForExitAsync(process, timeout, cancellation).ConfigureAwait(false))
                    stuck.Add($"{running[index].Name} (process {process.Pid})");
                progress.Report(index + 1);
            }
        }).ConfigureAwait(false);
        if (stuck.Count > 0)
            throw new CommandException(ExitCodes.Failed, $"{string.Join(", ", stuck)} did not leave within {timeout.TotalSeconds:0} s; repeat with --kill if it may be lost.");
        folder.Save(state with { Nodes = state.Nodes.Select(node => running.Contains(node) ? node with { Process = null } : node).ToArray() });
        Screen.Note(running.Length == 0 ? "No silo was running." : $"Stopped {string.Join(", ", running.Select(node => node.Name))}.");
    }
}
