using System.Diagnostics;

namespace Hotpot.Chaos.Orchestration;

/// <summary>The one clock of a history.</summary>
internal static class Clock
{
    public static long NowUs => (long)(Stopwatch.GetTimestamp() * (1e6 / Stopwatch.Frequency));
}
