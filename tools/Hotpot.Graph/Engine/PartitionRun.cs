using System.Numerics;
using System.Runtime.CompilerServices;
using Hotpot.Graph.Storage;

namespace Hotpot.Graph.Engine;

// One program on one partition: the phases of a step, without waiting for anyone.
//
// Problem: an edge is worth a few instructions and one load that the cache may not have. Whatever else is done for each edge is what is seen in the end.
//
// Scheme: signals of masters and mirrors lie together in ordinary memory, by local number, so that gathering is: load a number, load a signal, add. They are
// copied there from the dataset once a step; edges are read in place. The program is a struct and a type argument, so its code is between the two loads and nothing is
// called. Pointers instead of spans: nothing is checked for each edge.
//
//   Start     states and signals of masters, as the program says; exports
//   Import    signals of mirrors, from what their masters exported
//   Scatter   rows are marked at which a changed signal is looked at (only if the program is not for every vertex)
//   Gather    sums of rows; partial sums are exported
//   Apply     parts are added to the masters' own sums; states and signals follow; exports
//
// Between Gather and Apply, and between Apply (or Start) and Import, the others must have done the same: a barrier. What one phase exports is read before the next
// barrier and written again after it, so one copy of each is enough.
//
// Invariant: outside Apply, the sum of a master's row is that of its own partition alone. So a row that is not gathered again still has its sum.

/// <summary>One caller at a time. The arrays of the dataset must be mapped for as long as this lives.</summary>
public sealed unsafe partial class PartitionRun<TProgram, TState, TSignal, TSum> : IDisposable
    where TProgram : struct, IVertexProgram<TState, TSignal, TSum>
    where TState : unmanaged
    where TSignal : unmanaged, IEquatable<TSignal>
    where TSum : unmanaged
{
    private readonly TProgram _program;
    private readonly GraphRoot* _root;
    private readonly Partition* _partition;

    // Both by local number; written by Start, Import and Apply.
    private readonly HugeArray<TSignal> _signals;
    private readonly ulong[] _changed;

    // Both by row; written by Scatter, Gather and Apply.
    private readonly HugeArray<TSum> _sums;
    private readonly ulong[] _active;

    // What Apply puts aside while the sums of hubs are those of all partitions.
    private readonly TSum[] _hubSums;

    public PartitionRun(GraphRoot* root, int partition, TProgram program)
    {
        _program = program;
        _root = root;
        _partition = root->Partitions + partition;
        if (!TProgram.EveryVertex && _partition->ScatterStart == null)
            throw new GraphException("The program looks only where something changed, and this graph was loaded without the edges by source; load it with GraphOptions.Scatter.");
        if (TProgram.UsesWeights && _partition->Weight == null)
            throw new GraphException("The program uses weights, and this graph was loaded without; load it from edges with weights.");
        _signals = new HugeArray<TSignal>(_partition->LocalCount);
        _sums = new HugeArray<TSum>(_partition->RowCount);
        _changed = TProgram.EveryVertex ? [] : new ulong[(_partition->LocalCount + 63) / 64];
        _active = TProgram.EveryVertex ? [] : new ulong[(_partition->RowCount + 63) / 64];
        _hubSums = new TSum[_partition->HubCount];
    }

    public Partition* Partition => _partition;

    public void Dispose()
    {
        _signals.Dispose();
        _sums.Dispose();
    }

    public void Start()
    {
        var program = _program;
        var states = (TState*)_partition->States;
        for (uint master = 0; master < _partition->MasterCount; master++)
            program.Start(VertexOf(master), out states[master], out _signals.Start[master]);
        // Every row has to be gathered once.
        _changed.AsSpan().Clear();
        _active.AsSpan().Fill(ulong.MaxValue);
        if (_active.Length > 0 && _partition->RowCount % 64 is var rest and not 0)
            _active[^1] = (1UL << (int)rest) - 1;
        ExportSignals();
        *_partition->Sums = new StepSums { Changed = _partition->MasterCount };
    }

    public void Import()
    {
        for (var other = 0; other < _root->PartitionCount; other++)
        {
            var link = _root->Partitions[other].Links + _partition->Index;
            var from = (TSignal*)link->Exports;
            var first = _partition->Links[other].FirstMirror;
            var to = _signals.Start + first;
            if (TProgram.EveryVertex)
            {
                new ReadOnlySpan<TSignal>(from, (int)link->ExportCount).CopyTo(new Span<TSignal>(to, (int)link->ExportCount));
                continue;
            }

            for (uint mirror = 0; mirror < link->ExportCount; mirror++)
            {
                if (to[mirror].Equals(from[mirror]))
                    continue;
                to[mirror] = from[mirror];
                Mark(_changed, first + mirror);
            }
        }
    }

    public void Scatter()
    {
        if (TProgram.EveryVertex)
            return;
        uint* start = _partition->ScatterStart, rows = _partition->ScatterRow;
        for (uint word = 0; word < _changed.Length; word++)
        {
            for (var bits = _changed[word]; bits != 0; bits &= bits - 1)
            {
                var source = (word * 64) + (uint)BitOperations.TrailingZeroCount(bits);
                for (var edge = start[source]; edge < start[source + 1]; edge++)
                    Mark(_active, rows[edge]);
            }

            _changed[word] = 0;
        }
    }

    public void Apply()
    {
        AddParts();
        var sums = default(StepSums);
        if (TProgram.EveryVertex)
            ApplyAll(ref sums);
        else
            ApplyActive(ref sums);
        for (uint hub = 0; hub < _partition->HubCount; hub++)
            _sums.Start[_partition->Hub[hub]] = _hubSums[hub];
        ExportSignals();
        *_partition->Sums = sums;
    }

    /// <summary>Adds what the other partitions have gathered for hubs that this one masters.</summary>
    private void AddParts()
    {
        var program = _program;
        for (uint hub = 0; hub < _partition->HubCount; hub++)
        {
            var row = _partition->Hub[hub];
            _hubSums[hub] = _sums.Start[row];
            if (!TProgram.EveryVertex)
                Mark(_active, row);
        }

        for (var other = 0; other < _root->PartitionCount; other++)
        {
            var link = _root->Partitions[other].Links + _partition->Index;
            var parts = (TSum*)link->Partials;
            for (uint part = 0; part < link->PartialCount; part++)
            {
                var sum = _sums.Start + _partition->Hub[link->PartialHub[part]];
                *sum = program.Combine(*sum, parts[part]);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void ApplyAll(ref StepSums sums)
    {
        var program = _program;
        var states = (TState*)_partition->States;
        var signals = _signals.Start;
        var gathered = _sums.Start;
        double total = 0;
        ulong changed = 0;
        for (uint master = 0; master < _partition->MasterCount; master++)
            changed += program.Apply(VertexOf(master), ref states[master], gathered[master], ref signals[master], ref total) ? 1UL : 0;
        sums.Total = total;
        sums.Changed = changed;
    }

    private void ApplyActive(ref StepSums sums)
    {
        var program = _program;
        var states = (TState*)_partition->States;
        for (uint word = 0; word < _active.Length; word++)
        {
            for (var bits = _active[word]; bits != 0; bits &= bits - 1)
            {
                var master = (word * 64) + (uint)BitOperations.TrailingZeroCount(bits);
                // Behind the masters are rows of others' hubs.
                if (master >= _partition->MasterCount)
                    break;
                if (!program.Apply(VertexOf(master), ref states[master], _sums.Start[master], ref _signals.Start[master], ref sums.Total))
                    continue;
                sums.Changed++;
                Mark(_changed, master);
            }

            _active[word] = 0;
        }
    }

    private void ExportSignals()
    {
        for (var other = 0; other < _root->PartitionCount; other++)
        {
            var link = _partition->Links + other;
            var to = (TSignal*)link->Exports;
            for (uint export = 0; export < link->ExportCount; export++)
                to[export] = _signals.Start[link->ExportMaster[export]];
        }
    }

    private void ExportParts()
    {
        for (var other = 0; other < _root->PartitionCount; other++)
        {
            var link = _partition->Links + other;
            new ReadOnlySpan<TSum>(_sums.Start + link->FirstPartialRow, (int)link->PartialCount).CopyTo(new Span<TSum>(link->Partials, (int)link->PartialCount));
        }
    }

    private Vertex VertexOf(uint master) => new(_partition->Id[master], _partition->OutDegree[master]);

    private static void Mark(ulong[] bits, uint index) => bits[index / 64] |= 1UL << (int)(index % 64);
}
