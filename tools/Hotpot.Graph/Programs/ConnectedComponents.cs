using System.Runtime.CompilerServices;
using Hotpot.Graph.Engine;

namespace Hotpot.Graph.Programs;

/// <summary>Every vertex learns the smallest number of any vertex it is connected with. For graphs that have every edge in both directions.</summary>
public readonly struct ConnectedComponents : IVertexProgram<uint, uint, uint>
{
    public static bool UsesWeights => false;

    public static bool EveryVertex => false;

    public uint Nothing => uint.MaxValue;

    public void Start(Vertex vertex, out uint state, out uint signal) => state = signal = vertex.Id;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public uint Gather(uint sum, uint source, uint weight) => Math.Min(sum, source);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public uint Combine(uint first, uint second) => Math.Min(first, second);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool Apply(Vertex vertex, ref uint state, uint sum, ref uint signal, ref double total)
    {
        if (sum >= state)
            return false;
        state = signal = sum;
        return true;
    }

    public bool IsDone(int steps, ulong changed, double total) => changed == 0;
}
