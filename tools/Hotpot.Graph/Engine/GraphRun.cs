using System.Diagnostics;
using Hotpot.Graph.Storage;

namespace Hotpot.Graph.Engine;

/// <summary>How a run went on this node.</summary>
/// <param name="StepSeconds">One for each step.</param>
/// <param name="ExchangeSeconds">Of those: the time in commits and barriers, summed over the steps.</param>
/// <param name="ResultSeconds">Making the final states durable.</param>
public sealed record RunResult(int Steps, IReadOnlyList<double> StepSeconds, double ExchangeSeconds, double ResultSeconds);

/// <summary>
/// One node's part of a run: some of the partitions, in step with the nodes that have the others. Run it on the thread pool, not in a grain's turn: a load may wait
/// for a page. It may run again and again.
/// </summary>
/// <remarks>
/// States are committed once, at the end: until then a crash costs the run, never the graph. The signals of vertices without mirrors never leave the node, and a graph with
/// all its partitions on one node exchanges nothing at all.
/// </remarks>
public sealed class GraphRun<TProgram, TState, TSignal, TSum> : IDisposable
    where TProgram : struct, IVertexProgram<TState, TSignal, TSum>
    where TState : unmanaged
    where TSignal : unmanaged, IEquatable<TSignal>
    where TSum : unmanaged
{
    private readonly unsafe GraphRoot* _root;
    private readonly TProgram _program;
    private readonly IExchange _exchange;
    private readonly PartitionRun<TProgram, TState, TSignal, TSum>[] _parts;
    private readonly bool _alone;

    /// <param name="partitions">The ones that this node computes; every other one must be computed by exactly one other node.</param>
    public unsafe GraphRun(GraphRoot* root, IReadOnlyList<int> partitions, TProgram program, IExchange exchange)
    {
        ArgumentNullException.ThrowIfNull(partitions);
        if (sizeof(TState) > 8 || sizeof(TSignal) > 8 || sizeof(TSum) > 8)
            throw new GraphException("States, signals and sums have 8 bytes each in a graph, and this program needs more.");
        _root = root;
        _program = program;
        _exchange = exchange;
        _alone = partitions.Count == root->PartitionCount;
        _parts = [.. partitions.Select(partition => new PartitionRun<TProgram, TState, TSignal, TSum>(_root, partition, program))];
    }

    public async Task<RunResult> RunAsync()
    {
        var exchange = new Stopwatch();
        List<double> steps = [];
        foreach (var part in _parts)
            part.Start();
        await ExchangeAsync(Exports(), exchange).ConfigureAwait(false);
        exchange.Reset();
        StepSums found;
        do
        {
            var began = Stopwatch.GetTimestamp();
            foreach (var part in _parts)
            {
                part.Import();
                part.Scatter();
                part.Gather();
            }

            await ExchangeAsync(Partials(), exchange).ConfigureAwait(false);
            foreach (var part in _parts)
                part.Apply();
            await ExchangeAsync(Exports(), exchange).ConfigureAwait(false);
            found = Total();
            steps.Add(Stopwatch.GetElapsedTime(began).TotalSeconds);
        }
        while (!_program.IsDone(steps.Count, found.Changed, found.Total));
        var computed = Stopwatch.GetTimestamp();
        await _exchange.PublishAsync(States()).ConfigureAwait(false);
        await _exchange.MeetAsync().ConfigureAwait(false);
        return new RunResult(steps.Count, steps, exchange.Elapsed.TotalSeconds, Stopwatch.GetElapsedTime(computed).TotalSeconds);
    }

    public void Dispose()
    {
        foreach (var part in _parts)
            part.Dispose();
    }

    private async Task ExchangeAsync(IReadOnlyList<MemoryRange> ranges, Stopwatch watch)
    {
        if (_alone)
            return;
        watch.Start();
        await _exchange.PublishAsync(ranges).ConfigureAwait(false);
        await _exchange.MeetAsync().ConfigureAwait(false);
        watch.Stop();
    }

    /// <summary>Everybody adds the same numbers in the same order, so everybody stops after the same step.</summary>
    private unsafe StepSums Total()
    {
        var total = default(StepSums);
        for (var partition = 0; partition < _root->PartitionCount; partition++)
        {
            total.Changed += _root->Partitions[partition].Sums->Changed;
            total.Total += _root->Partitions[partition].Sums->Total;
        }

        return total;
    }

    private unsafe List<MemoryRange> Exports()
    {
        List<MemoryRange> ranges = [];
        foreach (var part in _parts)
        {
            ranges.Add(new MemoryRange((nint)part.Partition->Sums, sizeof(StepSums)));
            for (var other = 0; other < _root->PartitionCount; other++)
                ranges.Add(new MemoryRange((nint)part.Partition->Links[other].Exports, (long)part.Partition->Links[other].ExportCount * sizeof(TSignal)));
        }

        return ranges;
    }

    private unsafe List<MemoryRange> Partials()
    {
        List<MemoryRange> ranges = [];
        foreach (var part in _parts)
        {
            for (var other = 0; other < _root->PartitionCount; other++)
                ranges.Add(new MemoryRange((nint)part.Partition->Links[other].Partials, (long)part.Partition->Links[other].PartialCount * sizeof(TSum)));
        }

        return ranges;
    }

    private unsafe List<MemoryRange> States() =>
        [.. _parts.Select(part => new MemoryRange((nint)part.Partition->States, (long)part.Partition->MasterCount * sizeof(TState)))];
}
