using System.Runtime.CompilerServices;
using Hotpot.Graph.Engine;

namespace Hotpot.Graph.Programs;

/// <summary>
/// PageRank as in the GAP benchmark, in single precision: every vertex passes its rank on in equal parts along its out-edges; the rank of one without out-edges is passed on
/// to nobody.
/// </summary>
/// <param name="vertexCount">All vertices of the graph, those without edges too.</param>
/// <param name="stepsMax">The run ends after so many steps,</param>
/// <param name="tolerance">or when the ranks have changed by less than this in sum.</param>
public readonly struct PageRank(uint vertexCount, int stepsMax, double tolerance = 0) : IVertexProgram<float, float, float>
{
    public const float Damping = 0.85f;

    private readonly float _first = 1f / vertexCount;
    private readonly float _everybody = (1 - Damping) / vertexCount;

    public static bool UsesWeights => false;

    public static bool EveryVertex => true;

    public float Nothing => 0;

    public void Start(Vertex vertex, out float state, out float signal)
    {
        state = _first;
        signal = state / vertex.OutDegree;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public float Gather(float sum, float source, uint weight) => sum + source;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public float Combine(float first, float second) => first + second;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool Apply(Vertex vertex, ref float state, float sum, ref float signal, ref double total)
    {
        var rank = _everybody + (Damping * sum);
        total += MathF.Abs(rank - state);
        state = rank;
        signal = rank / vertex.OutDegree;
        return true;
    }

    public bool IsDone(int steps, ulong changed, double total) => steps >= stepsMax || total < tolerance;
}
