using Hotpot.Demo.Graph;

namespace Hotpot.Demo.Ranking;

/// <summary>One node's part of PageRank: a run of vertices, computed by plain loads and stores in the dataset.</summary>
/// <remarks>
/// Scheme: ranks are kept twice. Iteration i reads the ranks of parity i and writes its share of the other ones, commits
/// that share and its sums, and meets the others at a barrier. One barrier for each iteration is enough: what iteration i + 1 overwrites
/// was last read in iteration i, and every node has left that when the barrier opens; what it reads was committed before
/// the barrier by everybody, and a commit returns only when every node shows it.
///
/// Every node computes the same total of the sums in the same order, so all of them stop after the same iteration.
///
/// The balance is by edges, because a load for each edge is where the time goes.
/// </remarks>
public readonly unsafe struct PageRankShare
{
    private readonly GraphRoot* _root;

    public PageRankShare(GraphRoot* root, int index, int count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, count);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, GraphImage.SharesMax);
        _root = root;
        Index = index;
        Count = count;
        First = Boundary(root, index, count);
        End = Boundary(root, index + 1, count);
    }

    public int Index { get; }

    public int Count { get; }

    /// <summary>The first vertex of the share.</summary>
    public int First { get; }

    /// <summary>The first vertex after the share.</summary>
    public int End { get; }

    /// <summary>Stores the ranks that iteration 0 reads.</summary>
    public void Start()
    {
        var sums = default(ShareSums);
        for (var vertex = First; vertex < End; vertex++)
        {
            _root->EvenRanks[vertex] = 1.0 / _root->VertexCount;
            if (_root->Vertices[vertex].DependencyCount == 0)
                sums.Dangling += _root->EvenRanks[vertex];
        }

        sums.Delta = double.PositiveInfinity;
        _root->EvenSums[Index] = sums;
    }

    /// <summary>Computes this share of the ranks that the next iteration reads.</summary>
    public void Compute(int iteration)
    {
        var from = Ranks(iteration);
        var to = Ranks(iteration + 1);
        var count = _root->VertexCount;
        var vertices = _root->Vertices;
        var everybody = ((1 - PageRankReference.Damping) / count) + (PageRankReference.Damping * Total(iteration).Dangling / count);
        var sums = default(ShareSums);
        for (var index = First; index < End; index++)
        {
            var vertex = vertices + index;
            var passedOn = 0.0;
            var end = vertex->Dependents + vertex->DependentCount;
            for (var dependent = vertex->Dependents; dependent < end; dependent++)
                passedOn += from[*dependent - vertices] / (*dependent)->DependencyCount;
            var rank = everybody + (PageRankReference.Damping * passedOn);
            to[index] = rank;
            sums.Delta += Math.Abs(rank - from[index]);
            if (vertex->DependencyCount == 0)
                sums.Dangling += rank;
        }

        Sums(iteration + 1)[Index] = sums;
    }

    /// <summary>True when iteration <paramref name="iteration"/> need not run because the one before it changed nothing any more.</summary>
    public bool IsSettled(int iteration) => Total(iteration).Delta < PageRankReference.DeltaMin;

    /// <summary>What iteration <paramref name="iteration"/> reads: also the result when it was the last one plus one.</summary>
    public double* Ranks(int iteration) => iteration % 2 == 0 ? _root->EvenRanks : _root->OddRanks;

    /// <summary>Where this share's ranks and sums for that iteration lie, as address and length: what has to be committed.</summary>
    public void Written(int iteration, out nint ranks, out int rankBytes, out nint sums, out int sumBytes)
    {
        ranks = (nint)(Ranks(iteration) + First);
        rankBytes = (End - First) * sizeof(double);
        sums = (nint)(Sums(iteration) + Index);
        sumBytes = sizeof(ShareSums);
    }

    private ShareSums* Sums(int iteration) => iteration % 2 == 0 ? _root->EvenSums : _root->OddSums;

    private ShareSums Total(int iteration)
    {
        var sums = Sums(iteration);
        var total = default(ShareSums);
        for (var share = 0; share < Count; share++)
        {
            total.Dangling += sums[share].Dangling;
            total.Delta += sums[share].Delta;
        }

        return total;
    }

    /// <summary>The first vertex by which at least index/count of all edges, and of vertices without any, are behind.</summary>
    private static int Boundary(GraphRoot* root, int index, int count)
    {
        if (index == 0)
            return 0;
        if (index == count)
            return root->VertexCount;
        // A vertex costs about as much as an edge, so vertices count as well. The dependents' arrays follow each other, which makes
        // the work before a vertex a subtraction of pointers.
        var all = (long)root->EdgeCount + root->VertexCount;
        var wanted = all * index / count;
        int low = 0, high = root->VertexCount;
        while (low < high)
        {
            var middle = low + ((high - low) / 2);
            var before = (root->Vertices[middle].Dependents - root->Vertices[0].Dependents) + middle;
            if (before < wanted)
                low = middle + 1;
            else
                high = middle;
        }

        return low;
    }
}
