using System.Diagnostics;
using Hotpot.Bench.Harness;

namespace Hotpot.Bench.Benches.CommitFile;

/// <summary>Several writers at once, each of which writes again as soon as its last write is durable.</summary>
internal static class WriterLoops
{
    /// <summary>Writers that wait without a thread.</summary>
    /// <param name="write">One write of the writer with that number.</param>
    public static Task<Turn> RunAsync(int writers, TimeSpan limit, Func<int, ValueTask> write) =>
        RunAsync(writers, limit, (writer, end) => Task.Run(async () =>
        {
            List<double> times = [];
            for (var began = Stopwatch.GetTimestamp(); began < end || times.Count == 0;)
            {
                await write(writer).ConfigureAwait(false);
                var now = Stopwatch.GetTimestamp();
                times.Add(Samples.Microseconds(now - began));
                began = now;
            }

            return times;
        }));

    /// <summary>Writers that each have a thread, and wait in a system call.</summary>
    /// <inheritdoc cref="RunAsync(int, TimeSpan, Func{int, ValueTask})"/>
    public static Task<Turn> RunOnThreadsAsync(int writers, TimeSpan limit, Action<int> write) =>
        RunAsync(writers, limit, (writer, end) => Task.Factory.StartNew(
            () =>
            {
                List<double> times = [];
                for (var began = Stopwatch.GetTimestamp(); began < end || times.Count == 0;)
                {
                    write(writer);
                    var now = Stopwatch.GetTimestamp();
                    times.Add(Samples.Microseconds(now - began));
                    began = now;
                }

                return times;
            },
            CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default));

    private static async Task<Turn> RunAsync(int writers, TimeSpan limit, Func<int, long, Task<List<double>>> loop)
    {
        var started = Stopwatch.GetTimestamp();
        var end = started + (long)(limit.TotalSeconds * Stopwatch.Frequency);
        var times = await Task.WhenAll(Enumerable.Range(0, writers).Select(writer => loop(writer, end)));
        var seconds = Stopwatch.GetElapsedTime(started).TotalSeconds;
        double[] all = [.. times.SelectMany(each => each)];
        // Of several writers the rate counts, so their single times are told beside it.
        return new Turn
        {
            Us = writers == 1 ? all : [], Operations = all.Length, Seconds = seconds,
            More = writers == 1 ? [] : new() { ["write_p50_us"] = new Samples(all).Median },
        };
    }
}
