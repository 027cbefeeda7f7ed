using System.Reflection;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Diagnosers;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Loggers;
using BenchmarkDotNet.Reports;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using Hotpot.Benchmarks;
using Hotpot.Silo;

// What loads, stores and commits allocate, against the bound of each benchmark ([BytesAtMost]).
//
// The silos run in the process of the benchmarks, and the diagnoser counts what the whole process allocates, so nothing that a commit causes is missed: not at replicas,
// not on the pump's thread. What silos do on their own (health checks, membership) is counted too; many operations go into one measurement so that it does not show.
//
// Output: BenchmarkDotNet's, then a line for each bound, then "N passed, N failed". Exit code 1 when a bound did not hold.

string host = HotpotClustering.HostName;
if (host != "Embedded")
{
    await Console.Error.WriteLineAsync("hotpot: three silos in one process need the embedded actor host; build the benchmarks without ActorHost=Orleans.");
    return 2;
}

var artifacts = Directory.CreateTempSubdirectory("hotpot-benchmarks-");
try
{
    await using var silos = await ThreeSilos.StartAsync();
    var config = ManualConfig.CreateEmpty()
        .AddJob(Job.Default.WithToolchain(InProcessEmitToolchain.Instance).WithWarmupCount(3).WithIterationCount(3))
        .AddDiagnoser(MemoryDiagnoser.Default)
        .AddColumnProvider(BenchmarkDotNet.Columns.DefaultColumnProviders.Instance)
        .AddLogger(ConsoleLogger.Default)
        .WithArtifactsPath(artifacts.FullName);
    int passed = 0, failed = 0;
    foreach (var summary in BenchmarkRunner.Run([typeof(LoadBenchmarks), typeof(CommitBenchmarks)], config))
    {
        foreach (var benchmark in summary.BenchmarksCases)
        {
            var most = benchmark.Descriptor.WorkloadMethod.GetCustomAttribute<BytesAtMostAttribute>()!.Bytes;
            var bytes = Allocated(summary[benchmark]);
            var holds = bytes <= most;
            await Console.Out.WriteLineAsync($"{(holds ? "passed" : "FAILED")} {benchmark.Descriptor.Type.Name}.{benchmark.Descriptor.WorkloadMethod.Name} {benchmark.Parameters.DisplayInfo}: {bytes?.ToString() ?? "no"} bytes for each operation, at most {most}");
            (passed, failed) = holds ? (passed + 1, failed) : (passed, failed + 1);
        }
    }

    await Console.Out.WriteLineAsync($"{passed} passed, {failed} failed");
    return failed == 0 && passed > 0 ? 0 : 1;
}
finally
{
    artifacts.Delete(recursive: true);
}

static long? Allocated(BenchmarkReport? report) =>
    report is { Success: true } ? report.GcStats.GetBytesAllocatedPerOperation(report.BenchmarkCase) : null;
