using System.Runtime.CompilerServices;
using Hotpot.Graph.Engine;

namespace Hotpot.Graph.Programs;

/// <summary>Every vertex learns the smallest sum of weights of any path from one vertex to it (Bellman and Ford).</summary>
/// <param name="from">The number that the graph came with.</param>
public readonly struct ShortestPaths(uint from) : IVertexProgram<ulong, ulong, ulong>
{
    public const ulong Unreachable = ulong.MaxValue;

    public static bool UsesWeights => true;

    public static bool EveryVertex => false;

    public ulong Nothing => Unreachable;

    public void Start(Vertex vertex, out ulong state, out ulong signal) => state = signal = vertex.Id == from ? 0 : Unreachable;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ulong Gather(ulong sum, ulong source, uint weight) => source == Unreachable ? sum : Math.Min(sum, source + weight);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ulong Combine(ulong first, ulong second) => Math.Min(first, second);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool Apply(Vertex vertex, ref ulong state, ulong sum, ref ulong signal, ref double total)
    {
        if (sum >= state)
            return false;
        state = signal = sum;
        return true;
    }

    public bool IsDone(int steps, ulong changed, double total) => changed == 0;
}
