using System.Diagnostics;
using Hotpot.Bench.Harness;
using Hotpot.Bench.Node;
using Hotpot.Clients;

namespace Hotpot.Bench.Benches.Open;

/// <summary>A turn creates, opens, maps and touches datasets in which nothing is, and removes them.</summary>
internal sealed class SparseOpen(IHotpot hotpot, long bytes) : IWorkload
{
    public const string Kind = "sparse-open";

    public static WorkloadSpec Spec(long bytes) => new() { Kind = Kind, Parameters = new() { ["bytes"] = $"{bytes}" } };

    public static Task<IWorkload> CreateAsync(WorkloadContext context) => Task.FromResult<IWorkload>(new SparseOpen(context.Hotpot, context.Spec.Number("bytes")));

    public async Task<Turn> RunAsync(int operations, TimeSpan limit)
    {
        var began = Stopwatch.GetTimestamp();
        List<double> opened = [], created = [], touched = [], committed = [];
        while (opened.Count < operations && Stopwatch.GetElapsedTime(began) < limit)
        {
            var name = $"sparse {Guid.NewGuid():N}";
            var before = Stopwatch.GetTimestamp();
            await hotpot.CreateDatasetAsync(name, bytes);
            created.Add(Samples.Microseconds(Stopwatch.GetTimestamp() - before));

            before = Stopwatch.GetTimestamp();
            var dataset = await hotpot.OpenAsync(name);
            using (var mapping = dataset.Map())
            {
                opened.Add(Samples.Microseconds(Stopwatch.GetTimestamp() - before));
                touched.Add(TouchUs(mapping));
                var last = new ByteRange(dataset.Size - sizeof(long), sizeof(long));
                mapping.Ref<long>(last.Offset) = 1;
                before = Stopwatch.GetTimestamp();
                await dataset.CommitAsync(last);
                committed.Add(Samples.Microseconds(Stopwatch.GetTimestamp() - before));
            }

            await hotpot.RemoveAsync(name);
        }

        return new Turn
        {
            Us = [.. opened],
            Operations = opened.Count,
            Seconds = Stopwatch.GetElapsedTime(began).TotalSeconds,
            More = new()
            {
                ["create_us"] = new Samples(created).Median, ["first_touch_us"] = new Samples(touched).Median, ["first_commit_us"] = new Samples(committed).Median,
            },
        };
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    /// <summary>A load in the middle, of a page that nobody has: it reads as zero.</summary>
    private static double TouchUs(Mapping mapping)
    {
        var place = mapping.Size / 2;
        var before = Stopwatch.GetTimestamp();
        var found = Volatile.Read(ref mapping.Ref<long>(place));
        var us = Samples.Microseconds(Stopwatch.GetTimestamp() - before);
        return found == 0 ? us : throw new InvalidDataException($"A dataset in which nothing was stored holds {found} at {place}.");
    }
}
