using System.Numerics;
using System.Runtime.CompilerServices;

namespace Hotpot.Graph.Engine;

// The loop over the edges. Rows follow each other in memory, so edges are read once and in order, and the processor fetches them ahead by itself.
// What it cannot foresee are the signals: several of a row are asked for at a time, in sums that do not wait for each other.
public sealed unsafe partial class PartitionRun<TProgram, TState, TSignal, TSum>
{
    public void Gather()
    {
        if (TProgram.EveryVertex)
            GatherAll();
        else
            GatherActive();
        ExportParts();
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void GatherAll()
    {
        var program = _program;
        uint* rowStart = _partition->RowStart, source = _partition->Source, weight = _partition->Weight;
        var signals = _signals.Start;
        var sums = _sums.Start;
        var rows = _partition->RowCount;
        for (uint row = 0; row < rows; row++)
            sums[row] = SumOf(program, source, weight, signals, rowStart[row], rowStart[row + 1]);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void GatherActive()
    {
        var program = _program;
        uint* rowStart = _partition->RowStart, source = _partition->Source, weight = _partition->Weight;
        var signals = _signals.Start;
        var sums = _sums.Start;
        for (uint word = 0; word < _active.Length; word++)
        {
            for (var bits = _active[word]; bits != 0; bits &= bits - 1)
            {
                var row = (word * 64) + (uint)BitOperations.TrailingZeroCount(bits);
                sums[row] = SumOf(program, source, weight, signals, rowStart[row], rowStart[row + 1]);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TSum SumOf(TProgram program, uint* source, uint* weight, TSignal* signals, uint begin, uint end)
    {
        var edge = source + begin;
        var stop = source + end;
        // By the distance between the two arrays; nothing is read from it unless the program uses weights.
        var toWeight = weight - source;
        var sum = program.Nothing;
        if (stop - edge >= 4)
        {
            TSum second = program.Nothing, third = program.Nothing, fourth = program.Nothing;
            for (; stop - edge >= 4; edge += 4)
            {
                sum = program.Gather(sum, signals[edge[0]], TProgram.UsesWeights ? edge[toWeight] : 0);
                second = program.Gather(second, signals[edge[1]], TProgram.UsesWeights ? edge[toWeight + 1] : 0);
                third = program.Gather(third, signals[edge[2]], TProgram.UsesWeights ? edge[toWeight + 2] : 0);
                fourth = program.Gather(fourth, signals[edge[3]], TProgram.UsesWeights ? edge[toWeight + 3] : 0);
            }

            sum = program.Combine(program.Combine(sum, second), program.Combine(third, fourth));
        }

        for (; edge < stop; edge++)
            sum = program.Gather(sum, signals[*edge], TProgram.UsesWeights ? edge[toWeight] : 0);
        return sum;
    }
}
