namespace Hotpot.Graph.Engine;

/// <summary>What a program may know of a vertex besides its state.</summary>
/// <param name="Id">The number that the graph came with.</param>
/// <param name="OutDegree">Out-edges in all partitions.</param>
public readonly record struct Vertex(uint Id, uint OutDegree);

/// <summary>
/// An algorithm as gather, apply, scatter (PowerGraph). Implement it in a struct: the engine is compiled anew for each, and the calls below become the code between
/// two loads. Everything must follow from the arguments and from fields that are the same on every node.
/// </summary>
/// <typeparam name="TState">What a vertex is in the end; at most 8 bytes, like the other two.</typeparam>
/// <typeparam name="TSignal">What the neighbours see of it.</typeparam>
/// <typeparam name="TSum">What is gathered of the neighbours.</typeparam>
public interface IVertexProgram<TState, TSignal, TSum>
    where TState : unmanaged
    where TSignal : unmanaged, IEquatable<TSignal>
    where TSum : unmanaged
{
    /// <summary>Gather gets the weights of edges.</summary>
    static abstract bool UsesWeights { get; }

    /// <summary>
    /// True: every vertex is gathered in every step. False: only where the signal of a source has changed; the sums of the other vertices are still what they were,
    /// so nothing is lost. That needs a graph loaded with <see cref="Storage.GraphFlags.Scatter"/>.
    /// </summary>
    static abstract bool EveryVertex { get; }

    /// <summary>The sum of no edges.</summary>
    TSum Nothing { get; }

    /// <summary>The state and signal before the first step.</summary>
    void Start(Vertex vertex, out TState state, out TSignal signal);

    /// <summary>Adds one in-edge to a sum.</summary>
    TSum Gather(TSum sum, TSignal source, uint weight);

    /// <summary>Adds sums of different edges of one vertex; in any order and grouping.</summary>
    TSum Combine(TSum first, TSum second);

    /// <summary>Computes the new state and signal from the sum of all in-edges. Returns whether the signal changed so that neighbours must look again.</summary>
    /// <param name="total">A sum over all vertices that the program keeps for <see cref="IsDone"/>.</param>
    bool Apply(Vertex vertex, ref TState state, TSum sum, ref TSignal signal, ref double total);

    /// <summary>Asked after each step with what all partitions have found.</summary>
    /// <param name="steps">Steps made, counted from 1.</param>
    bool IsDone(int steps, ulong changed, double total);
}
