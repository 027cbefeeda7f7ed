using System.Globalization;
using Spectre.Console;

namespace Hotpot.Terminal;

/// <summary>Shows how far a piece of work has come, to a person at a terminal or in a log.</summary>
/// <remarks>
/// Work that is over within a second shows nothing before its closing line. After that a terminal gets a bar, drawn ten times a second; any other
/// output gets a line now and one every ten seconds, so that a log stays readable and a job that hangs is seen to hang.
/// The work reports a number; it never waits for the display.
/// </remarks>
public sealed class ProgressDisplay
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan s_redraw = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan s_lineInterval = TimeSpan.FromSeconds(10);

    private readonly TextWriter _writer;
    private readonly IAnsiConsole _console;

    private ProgressDisplay(TextWriter writer, bool isTerminal)
    {
        _writer = writer;
        IsTerminal = isTerminal;
        _console = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Out = new AnsiConsoleOutput(writer),
            Ansi = isTerminal ? AnsiSupport.Detect : AnsiSupport.No,
            Interactive = isTerminal ? InteractionSupport.Detect : InteractionSupport.No,
        });
    }

    public bool IsTerminal { get; }

    public static ProgressDisplay OnStandardError() => new(Console.Error, !Console.IsErrorRedirected);

    public static ProgressDisplay OnStandardOutput() => new(Console.Out, !Console.IsOutputRedirected);

    /// <summary>Writes plain lines, whatever the writer is.</summary>
    public static ProgressDisplay OnWriter(TextWriter writer) => new(writer, isTerminal: false);

    public void Line(string text) => _writer.WriteLine(text);

    /// <summary>A table on a terminal; elsewhere its rows with tabs between the cells, and no head.</summary>
    public void Table(IReadOnlyList<string> head, IReadOnlyList<IReadOnlyList<string>> rows)
    {
        if (!IsTerminal)
        {
            foreach (var row in rows)
                _writer.WriteLine(string.Join('\t', row));
            return;
        }

        var table = new Table { Border = TableBorder.Simple };
        foreach (var column in head)
            table.AddColumn(new TableColumn(Markup.Escape(column)));
        foreach (var row in rows)
            table.AddRow(row.Select(Markup.Escape).ToArray());
        _console.Write(table);
    }

    /// <summary>Runs work that reports how much of <paramref name="total"/> it has done, and returns or throws what it does.</summary>
    public async Task RunAsync(string title, double total, Func<IProgress<double>, Task> work)
    {
        ArgumentNullException.ThrowIfNull(work);
        var progress = new Latest();
        var running = work(progress);
        if (await Task.WhenAny(running, Task.Delay(s_patience)).ConfigureAwait(false) != running)
            await (IsTerminal ? DrawBarAsync(title, total, progress, running) : WriteLinesAsync(title, total, progress, running)).ConfigureAwait(false);
        await running.ConfigureAwait(false);
    }

    private Task DrawBarAsync(string title, double total, Latest progress, Task running) =>
        _console.Progress()
            .AutoClear(true)
            .Columns(new TaskDescriptionColumn(), new ProgressBarColumn(), new PercentageColumn(), new ElapsedTimeColumn())
            .StartAsync(async context =>
            {
                var bar = context.AddTask(Markup.Escape(title), maxValue: total);
                while (!running.IsCompleted)
                {
                    bar.Value = progress.Value;
                    await Task.WhenAny(running, Task.Delay(s_redraw)).ConfigureAwait(false);
                }
            });

    private async Task WriteLinesAsync(string title, double total, Latest progress, Task running)
    {
        await _writer.WriteLineAsync(title + " ...").ConfigureAwait(false);
        while (await Task.WhenAny(running, Task.Delay(s_lineInterval)).ConfigureAwait(false) != running)
            await _writer.WriteLineAsync(string.Create(CultureInfo.InvariantCulture, $"{title} ... {100 * progress.Value / total:0} %")).ConfigureAwait(false);
    }

    /// <summary>Keeps the newest value. Written by the work, read by the display; a double is one atomic word, and order does not matter here.</summary>
    private sealed class Latest : IProgress<double>
    {
        private double _value;

        public double Value => Volatile.Read(ref _value);

        public void Report(double value) => Volatile.Write(ref _value, value);
    }
}
