using System.Diagnostics;
using Hotpot.Tests.Runtime;

namespace Hotpot.Tests.Cli;

/// <summary>
/// The part of ./hotpot that decides whether a test run was good: it must not take a crash, a hang or an empty run for a success, so each
/// of those is fed to it here.
/// </summary>
public sealed class ScriptTests : IDisposable
{
    private readonly DirectoryInfo _temporary = Directory.CreateTempSubdirectory("hotpot-tests-");

    [Fact]
    public async Task Native_results_are_counted_from_the_json()
    {
        var json = Write("result.json", "{\n  \"tests\": 5,\n  \"failures\": 1,\n  \"disabled\": 0,\n          \"result\": \"SKIPPED\",\n    \"tests\": 5\n}\n");
        var log = Write("log", "[ RUN      ] A.b\n[  FAILED  ] A.b (3 ms)\n[  FAILED  ] A.b\n");

        Assert.Equal("3 1 1 [native: A.b]", await CountAsync($"count_native native 1 '{json}' '{log}' 2"));
    }

    [Fact]
    public async Task A_native_crash_names_the_test_that_was_running()
    {
        var log = Write("log", "[ RUN      ] A.a\n[       OK ] A.a (0 ms)\n[ RUN      ] A.b\n");

        Assert.Equal("1 1 0 [native: crashed (SIGSEGV) in A.b]", await CountAsync($"count_native native 139 '{Missing}' '{log}' 2"));
    }

    [Fact]
    public async Task A_native_hang_is_a_failure()
    {
        var log = Write("log", "[ RUN      ] A.slow\n");

        Assert.Equal("0 1 0 [native: was stopped after its time limit in A.slow]", await CountAsync($"count_native native 124 '{Missing}' '{log}' 600"));
    }

    [Fact]
    public async Task A_failing_exit_after_passing_tests_is_a_failure()
    {
        var json = Write("result.json", "{\n  \"tests\": 2,\n  \"failures\": 0,\n}\n");

        Assert.Equal("2 1 0 [native: passed its tests and then crashed (SIGABRT)]", await CountAsync($"count_native native 134 '{json}' '{Write("log", "")}' 1"));
    }

    [Fact]
    public async Task A_run_without_tests_is_a_failure_unless_a_filter_left_none()
    {
        var json = Write("result.json", "{\n  \"tests\": 0,\n  \"failures\": 0,\n}\n");
        var log = Write("log", "");

        Assert.Equal("0 1 0 [native: ran no test]", await CountAsync($"count_native native 0 '{json}' '{log}' 1"));
        Assert.Equal("0 0 0 []", await CountAsync($"FILTER=x; count_native native 0 '{json}' '{log}' 1"));
    }

    [Fact]
    public async Task Managed_results_are_counted_from_the_trx()
    {
        var trx = Write(
            "result.trx",
            """
            <UnitTestResult testName="N.T.ok" outcome="Passed" />
            <UnitTestResult testName="N.T.bad(a: 1)" outcome="Failed">
            <UnitTestResult testName="N.T.not" outcome="NotExecuted" />
            <Counters total="3" executed="2" passed="1" failed="1" error="0" notExecuted="0" />
            """);

        Assert.Equal("1 1 1 [managed: N.T.bad(a: 1)]", await CountAsync($"count_managed managed 1 '{trx}' '{Write("log", "")}' 1"));
    }

    [Fact]
    public async Task A_managed_host_that_dies_is_a_failure()
    {
        var trx = Write("result.trx", "<Counters total=\"1\" executed=\"1\" passed=\"1\" failed=\"0\" />");
        var log = Write("log", "The active test run was aborted.\nThe test running when the crash occurred: \nN.T.killer\n");

        Assert.Equal("1 1 0 [managed: passed what it ran and then ended with exit code 1 in N.T.killer]", await CountAsync($"count_managed managed 1 '{trx}' '{log}' 1"));
        Assert.Equal("0 1 0 [managed: left no result and ended with exit code 1]", await CountAsync($"count_managed managed 1 '{Missing}' '{log}' 1"));
    }

    [Fact]
    public async Task Bounds_of_benchmarks_are_counted_one_by_one()
    {
        var log = Write("log", "load, run 1 of at most 3\npassed load: a: ahead 0.90, at least 0.45\nFAILED miss: b (free, tcp): ahead 0.10, at least 0.20\n1 passed, 1 failed\n");

        Assert.Equal("1 1 0 [guard: miss: b (free, tcp): ahead 0.10, at least 0.20]", await CountAsync($"count_bounds guard 1 '{log}' 1"));
        Assert.Equal("7 1 0 [allocations: passed what it ran and then crashed (SIGSEGV)]", await CountAsync($"count_bounds allocations 139 '{Write("crash", "7 passed, 0 failed\n")}' 1"));
        Assert.Equal("0 1 0 [guard: left no result and was stopped after its time limit]", await CountAsync($"count_bounds guard 124 '{Write("cut", "load, run 1")}' 1"));
    }

    [Fact]
    public async Task An_interruption_ends_what_the_running_command_has_started()
    {
        string log = Write("log", ""), pid = Path.Combine(_temporary.FullName, "pid");
        // As a build does, whose compilers are children of children.
        var command = $"source \"$HOTPOT\"; trap interrupted INT TERM; (until [[ -s '{pid}' ]]; do sleep 0.05; done; kill -TERM $$) & "
            + $"run_logged '{log}' bash -c 'sleep 300 & echo $! >\"{pid}\"; wait; true'";
        Assert.Equal(130, (await RunAsync(command)).ExitCode);
        // Ended, or about to be, and perhaps not waited for by whoever has it now.
        var ended = $"for i in {{1..100}}; do state=\"$(sed 's/.*) //; s/ .*//' \"/proc/$(cat '{pid}')/stat\" 2>/dev/null)\"; [[ -z \"$state\" || \"$state\" == Z ]] && exit 0; sleep 0.1; done; exit 1";
        Assert.Equal(0, (await RunAsync(ended)).ExitCode);
    }

    [Fact]
    public async Task Help_and_usage_errors_need_no_build()
    {
        Assert.Equal(0, (await RunAsync("\"$HOTPOT\" --help")).ExitCode);
        foreach (var command in new[] { "setup", "demo", "chaos", "bench", "test" })
            Assert.Equal(0, (await RunAsync($"\"$HOTPOT\" {command} --help")).ExitCode);
        Assert.Equal(2, (await RunAsync("\"$HOTPOT\"")).ExitCode);
        Assert.Equal(2, (await RunAsync("\"$HOTPOT\" frobnicate")).ExitCode);
        Assert.Equal(2, (await RunAsync("\"$HOTPOT\" test --frobnicate")).ExitCode);
        Assert.Equal(2, (await RunAsync("\"$HOTPOT\" test --native --managed")).ExitCode);
    }

    public void Dispose() => _temporary.Delete(recursive: true);

    private string Missing => Path.Combine(_temporary.FullName, "missing");

    private string Write(string name, string content)
    {
        var path = Path.Combine(_temporary.FullName, name);
        File.WriteAllText(path, content);
        return path;
    }

    /// <summary>Calls functions of the script; returns passed, failed, skipped and the named failures.</summary>
    private static async Task<string> CountAsync(string calls)
    {
        var (exitCode, output) = await RunAsync($"source \"$HOTPOT\"; {calls}; echo \"$PASSED $FAILED $SKIPPED [${{FAILURES[*]}}]\"");
        Assert.Equal(0, exitCode);
        return output.TrimEnd('\n');
    }

    private static async Task<(int ExitCode, string Output)> RunAsync(string commands)
    {
        var start = new ProcessStartInfo("bash") { RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true };
        start.ArgumentList.Add("-c");
        start.ArgumentList.Add(commands);
        start.Environment["HOTPOT"] = Path.Combine(Repository.Root(), "hotpot");
        using var process = Process.Start(start)!;
        process.StandardInput.Close();
        // Both streams are read at once: a full pipe would stop the script.
        var output = process.StandardOutput.ReadToEndAsync();
        var errors = process.StandardError.ReadToEndAsync();
        await Task.WhenAll(output, errors);
        await process.WaitForExitAsync();
        return (process.ExitCode, await output);
    }
}
