using System.Runtime.InteropServices;

namespace Hotpot.Bench.Harness;

/// <summary>What the figures were taken on.</summary>
internal sealed record Machine(string Cpu, int Cores, double MemoryGib, string Kernel, string Runtime, string Date)
{
    public static Machine Here() => new(
        File.ReadLines("/proc/cpuinfo").FirstOrDefault(line => line.StartsWith("model name", StringComparison.Ordinal))?.Split(':', 2)[1].Trim() ?? RuntimeInformation.ProcessArchitecture.ToString(),
        Environment.ProcessorCount,
        Math.Round(GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / (double)(1 << 30), 1),
        Environment.OSVersion.Version.ToString(),
        RuntimeInformation.FrameworkDescription,
        DateTime.UtcNow.ToString("yyyy-MM-dd", System.Globalization.CultureInfo.InvariantCulture));
}
