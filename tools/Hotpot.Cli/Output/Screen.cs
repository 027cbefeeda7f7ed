using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using Spectre.Console;

namespace Hotpot.Cli.Output;

/// <summary>
/// Where commands write. Results go to standard output, progress and errors to standard error, so that a pipe gets results
/// only. Tables and bars are drawn on a terminal; elsewhere the same facts come as plain lines.
/// </summary>
internal static class Screen
{
    private static readonly JsonSerializerOptions s_json = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    };

    public static bool OutputIsTerminal => !Console.IsOutputRedirected;

    private static readonly IAnsiConsole s_error = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(Console.Error) });

    public static void Line(string text) => Console.Out.WriteLine(text);

    public static void Error(string text) => Console.Error.WriteLine("hotpot: " + text);

    public static void Note(string text) => Console.Error.WriteLine(text);

    /// <summary>One JSON value on one line.</summary>
    public static void Json<T>(T value) => Console.Out.WriteLine(JsonSerializer.Serialize(value, s_json));

    /// <summary>A table on a terminal; elsewhere its rows with tabs between the cells, and no head.</summary>
    public static void Table(string[] head, IReadOnlyList<string[]> rows)
    {
        if (!OutputIsTerminal)
        {
            foreach (var row in rows)
                Console.Out.WriteLine(string.Join('\t', row));
            return;
        }

        var table = new Table { Border = TableBorder.Simple };
        foreach (var column in head)
            table.AddColumn(new TableColumn(Markup.Escape(column)));
        foreach (var row in rows)
            table.AddRow(row.Select(Markup.Escape).ToArray());
        AnsiConsole.Write(table);
    }

    /// <summary>
    /// Runs work that reports how much of <paramref name="total"/> it has done. A bar appears when standard error is a terminal and the
    /// work has lasted longer than a second; otherwise a line is written when it ends, and every ten seconds before.
    /// </summary>
    public static async Task ProgressAsync(string title, double total, Func<IProgress<double>, Task> work)
    {
        var progress = new Latest();
        var running = work(progress);
        if (await Task.WhenAny(running, Task.Delay(TimeSpan.FromSeconds(1))).ConfigureAwait(false) == running)
        {
            await running.ConfigureAwait(false);
            return;
        }

        if (Console.IsErrorRedirected)
            await ReportLinesAsync(title, total, progress, running).ConfigureAwait(false);
        else
            await DrawBarAsync(title, total, progress, running).ConfigureAwait(false);
        await running.ConfigureAwait(false);
    }

    private static Task DrawBarAsync(string title, double total, Latest progress, Task running) =>
        s_error.Progress()
            .Columns(new TaskDescriptionColumn(), new ProgressBarColumn(), new PercentageColumn(), new RemainingTimeColumn())
            .StartAsync(async context =>
            {
                var bar = context.AddTask(Markup.Escape(title), maxValue: total);
                while (!running.IsCompleted)
                {
                    bar.Value = progress.Value;
                    await Task.WhenAny(running, Task.Delay(TimeSpan.FromMilliseconds(100))).ConfigureAwait(false);
                }

                bar.Value = running.IsCompletedSuccessfully ? total : progress.Value;
            });

    private static async Task ReportLinesAsync(string title, double total, Latest progress, Task running)
    {
        Note(title + " ...");
        while (await Task.WhenAny(running, Task.Delay(TimeSpan.FromSeconds(10))).ConfigureAwait(false) != running)
            Note(string.Create(CultureInfo.InvariantCulture, $"{title} ... {100 * progress.Value / total:0} %"));
        if (running.IsCompletedSuccessfully)
            Note(title + ": done");
    }

    /// <summary>Keeps the newest value. Written by the work, read by whoever draws; a double is one atomic word.</summary>
    private sealed class Latest : IProgress<double>
    {
        private double _value;

        public double Value => Volatile.Read(ref _value);

        public void Report(double value) => Volatile.Write(ref _value, value);
    }
}
