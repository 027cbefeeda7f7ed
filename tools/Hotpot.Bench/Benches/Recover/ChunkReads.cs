using System.Diagnostics;
using Hotpot.Bench.Harness;
using Hotpot.Bench.Node;
using Hotpot.Clients;

namespace Hotpot.Bench.Benches.Recover;

/// <summary>Reads a word of each chunk, from pages that this node has not read before, and checks it.</summary>
internal sealed class ChunkReads(Dataset dataset) : IWorkload
{
    public const string Kind = "chunk-reads";

    public static WorkloadSpec Spec(string dataset) => new() { Kind = Kind, Parameters = new() { ["dataset"] = dataset } };

    public static async Task<IWorkload> CreateAsync(WorkloadContext context) => new ChunkReads(await context.Hotpot.OpenAsync(context.Spec["dataset"]));

    public async Task<Turn> RunAsync(int operations, TimeSpan limit)
    {
        var began = Stopwatch.GetTimestamp();
        var times = new double[dataset.Description.ChunkCount];
        var found = new byte[sizeof(ulong)];
        var expected = new byte[sizeof(ulong)];
        for (var chunk = 0; chunk < times.Length; chunk++)
        {
            var offset = (long)chunk << dataset.Description.ChunkLog2;
            var before = Stopwatch.GetTimestamp();
            await dataset.ReadAsync(offset, found);
            times[chunk] = Samples.Microseconds(Stopwatch.GetTimestamp() - before);
            Pattern.Fill(expected, offset);
            if (!found.AsSpan().SequenceEqual(expected))
                throw new InvalidDataException($"Chunk {chunk} of '{dataset.Name}' begins with other bytes than were committed.");
        }

        return new Turn { Us = times, Operations = times.Length, Seconds = Stopwatch.GetElapsedTime(began).TotalSeconds };
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
