using System.Globalization;
using Hotpot.Terminal;

namespace Hotpot.Chaos.Orchestration;

/// <summary>What happened in a run, for people: in a file of the run's folder, and line by line where there is no terminal to draw on. Any thread.</summary>
internal sealed class Journal(string file, ProgressDisplay display) : IDisposable
{
    private readonly StreamWriter _file = new(file) { AutoFlush = true };
    private readonly Lock _lock = new();
    private readonly long _startedUs = Clock.NowUs;

    // Appended to under _lock.
    private readonly List<string> _anomalies = [];

    /// <summary>What was wrong beside the histories.</summary>
    public IReadOnlyList<string> Anomalies
    {
        get
        {
            lock (_lock)
                return [.. _anomalies];
        }
    }

    public void Write(string text)
    {
        var line = string.Create(CultureInfo.InvariantCulture, $"{(Clock.NowUs - _startedUs) / 1e6,7:0.0} s  {text}");
        lock (_lock)
        {
            _file.WriteLine(line);
            // A bar is being drawn there.
            if (!display.IsTerminal)
                display.Line(line);
        }
    }

    /// <summary>Only into the file.</summary>
    public void Note(string text)
    {
        lock (_lock)
            _file.WriteLine(text);
    }

    public void Anomaly(string text)
    {
        lock (_lock)
            _anomalies.Add(text);
        Write($"ANOMALY {text}");
    }

    public void Dispose() => _file.Dispose();
}
