using System.Text.Json;

namespace Hotpot.Histories.Json;

/// <summary>
/// Writes a history, one operation a line. Any thread. Each line has left the process when the call returns, so that it
/// survives the process's death.
/// </summary>
public sealed class HistoryWriter(TextWriter output) : IDisposable
{
    private readonly Lock _lock = new();

    /// <summary>Before the operation is attempted: should its client die, the line stays and says that the outcome is unknown.</summary>
    public void Begin(Operation operation) => Write(operation with { Outcome = Outcome.Unknown, CompleteUs = null });

    /// <summary>When the outcome is known or given up. Replaces the line of <see cref="Begin"/> with the same client and id.</summary>
    public void Write(Operation operation)
    {
        var line = JsonSerializer.Serialize(operation, HistoryJson.Options);
        lock (_lock)
        {
            output.Write(line + "\n");
            output.Flush();
        }
    }

    /// <inheritdoc/>
    public void Dispose() => output.Dispose();
}
