using Hotpot.Graph;
using Hotpot.Graph.Loading;
using Hotpot.Graph.Storage;

namespace Hotpot.Tests.Graph;

/// <summary>How edges become partitions.</summary>
public sealed unsafe class LoadingTests
{
    [Fact]
    public void TheSameSeedMakesTheSameGraphAndAnotherSeedAnother()
    {
        using var one = Kronecker.Generate(scale: 10, edgeFactor: 4, seed: 1);
        using var again = Kronecker.Generate(scale: 10, edgeFactor: 4, seed: 1);
        using var other = Kronecker.Generate(scale: 10, edgeFactor: 4, seed: 2);

        Assert.Equal(EdgesOf(one), EdgesOf(again));
        Assert.NotEqual(EdgesOf(one), EdgesOf(other));
        Assert.Equal(4096, one.EdgeCount);
        Assert.All(EdgesOf(one), edge => Assert.True(edge.From < 1024 && edge.To < 1024));
    }

    [Fact]
    public void AKroneckerGraphHasHubsAndItsQuadrantsHaveTheirShares()
    {
        using var edges = Kronecker.Generate(scale: 14, edgeFactor: 16, seed: 1);

        var degrees = EdgesOf(edges).GroupBy(edge => edge.From).Select(vertex => vertex.Count()).OrderDescending().ToArray();

        // 0.76 of the edges begin in the half that A and B lead to, at each of 14 levels: the first vertex has 0.76^14 of them, 2.1 %.
        Assert.InRange(degrees[0] / (double)edges.EdgeCount, 0.019, 0.024);
        Assert.InRange(degrees.Take(degrees.Length / 100).Sum() / (double)edges.EdgeCount, 0.2, 0.5);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(5)]
    public void EveryEdgeLiesInOnePartitionWithItsEndsAndItsWeight(int partitions)
    {
        using var edges = Kronecker.Generate(scale: 9, edgeFactor: 16, seed: 4, weightMax: 1000);
        using var graph = Load(edges, partitions, out _);

        Assert.Equal(WeightedEdgesOf(edges).Order(), RowsOf(graph.Root, byScatter: false).Order());
        Assert.Equal(WeightedEdgesOf(edges).Select(edge => (edge.From, edge.To)).Order(), RowsOf(graph.Root, byScatter: true).Select(edge => (edge.From, edge.To)).Order());
    }

    [Fact]
    public void SourcesAscendInEveryRow()
    {
        using var edges = Kronecker.Generate(scale: 9, edgeFactor: 16, seed: 4);
        using var graph = Load(edges, 3, out _);

        for (var index = 0; index < 3; index++)
        {
            var part = graph.Root->Partitions + index;
            for (uint row = 0; row < part->RowCount; row++)
            {
                for (var edge = part->RowStart[row] + 1; edge < part->RowStart[row + 1]; edge++)
                    Assert.True(part->Source[edge - 1] <= part->Source[edge]);
            }
        }
    }

    [Fact]
    public void PartitionsHaveAboutAsManyEdgesEach()
    {
        using var edges = Kronecker.Generate(scale: 13, edgeFactor: 16, seed: 4);
        using var graph = Load(edges, 4, out var plan);

        for (var partition = 0; partition < 4; partition++)
            Assert.InRange(graph.Root->Partitions[partition].EdgeCount / (edges.EdgeCount / 4.0), 0.9, 1.1);
        Assert.InRange(plan.Replication, 1, 4);
    }

    [Fact]
    public void AHubIsGatheredWhereItsSourcesAreAndAnotherVertexInOnePlace()
    {
        // Vertex 0 has an in-edge of every other one; each of those has one of vertex 0.
        const uint Spokes = 3 * GraphRunning.HubDegree;
        using var star = EdgeList.Of(
            Spokes + 1, [.. Enumerable.Range(1, (int)Spokes).SelectMany(spoke => ((uint, uint)[])[((uint)spoke, 0u), (0u, (uint)spoke)])]);
        using var graph = Load(star, 3, out var plan);

        // Vertex 0 has the most out-edges, so partition 0 masters it. The others gather a part of it, and read its signal for their spokes.
        Assert.Equal(1u, graph.Root->Partitions[0].HubCount);
        for (var other = 1; other < 3; other++)
        {
            Assert.Equal(1u, graph.Root->Partitions[other].Links[0].PartialCount);
            Assert.Equal(1u, graph.Root->Partitions[0].Links[other].ExportCount);
            Assert.Equal(0u, graph.Root->Partitions[other].Links[0].ExportCount);
        }

        Assert.Equal(1 + (2.0 / (Spokes + 1)), plan.Replication, 1e-9);
    }

    [Fact]
    public void VerticesWithoutEdgesAreNotPlaced()
    {
        using var edges = EdgeList.Of(1000, (5u, 900u), (900u, 5u), (5u, 7u));
        using var graph = Load(edges, 1, out _);

        Assert.Equal(1000u, graph.Root->VertexCount);
        Assert.Equal([5u, 900u, 7u], new Span<uint>(graph.Root->Partitions->Id, (int)graph.Root->PlacedCount).ToArray());
    }

    [Fact]
    public void AGraphWithoutEdgesCanBeLoaded()
    {
        using var edges = new EdgeList(10, 0);
        using var graph = Load(edges, 2, out _);

        Assert.Equal(0u, graph.Root->PlacedCount);
        Assert.All(GraphStates.Read(graph.Root, _ => 1f), state => Assert.Equal(1f, state));
    }

    [Fact]
    public void ADatasetWithoutARootIsNoGraph()
    {
        var zeros = stackalloc byte[sizeof(GraphRoot)];
        new Span<byte>(zeros, sizeof(GraphRoot)).Clear();
        GraphException? error = null;
        try
        {
            StoredGraph.RootAt(zeros);
        }
        catch (GraphException thrown)
        {
            error = thrown;
        }

        Assert.Contains("load it first", error?.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void WhatPartitionsWriteSharesNoChunk()
    {
        using var edges = Kronecker.Generate(scale: 9, edgeFactor: 16, seed: 4);
        using var graph = Load(edges, 5, out var plan);
        List<(long Begin, long End)> regions = [];
        for (var partition = 0; partition < 5; partition++)
        {
            var begin = (byte*)graph.Root->Partitions[partition].Sums - graph.Start;
            regions.Add((begin, begin + graph.Root->Partitions[partition].WrittenBytes));
        }

        Assert.All(regions, region => Assert.Equal(0, region.Begin % GraphRunning.ChunkBytes));
        Assert.All(regions.Zip(regions.Skip(1)), pair => Assert.True(pair.First.End <= pair.Second.Begin));
        Assert.True(regions[^1].End <= plan.Bytes);
    }

    private static GraphMemory Load(EdgeList edges, int partitions, out GraphPlan plan)
    {
        plan = new GraphPlan(edges, new GraphOptions { Partitions = partitions, Scatter = true, HubDegree = GraphRunning.HubDegree }, GraphRunning.ChunkBytes);
        return new GraphMemory(plan, edges);
    }

    private static List<(uint From, uint To)> EdgesOf(EdgeList edges) =>
        [.. Enumerable.Range(0, (int)edges.EdgeCount).Select(edge => (edges.From[edge], edges.To[edge]))];

    private static List<(uint From, uint To, uint Weight)> WeightedEdgesOf(EdgeList edges) =>
        [.. Enumerable.Range(0, (int)edges.EdgeCount).Select(edge => (edges.From[edge], edges.To[edge], edges.Weight[edge]))];

    /// <summary>The edges of all partitions with the numbers that the graph came with.</summary>
    private static List<(uint From, uint To, uint Weight)> RowsOf(GraphRoot* root, bool byScatter)
    {
        List<(uint, uint, uint)> found = [];
        for (var index = 0; index < root->PartitionCount; index++)
        {
            var part = root->Partitions + index;
            var names = NamesOf(root, part, out var rows);
            var lists = byScatter ? part->LocalCount : part->RowCount;
            for (uint list = 0; list < lists; list++)
            {
                var start = byScatter ? part->ScatterStart : part->RowStart;
                for (var edge = start[list]; edge < start[list + 1]; edge++)
                    found.Add(byScatter ? (names[list], rows[part->ScatterRow[edge]], 0) : (names[part->Source[edge]], rows[list], part->Weight == null ? 0 : part->Weight[edge]));
            }
        }

        return found;
    }

    /// <summary>What each local number and each row of a partition stands for.</summary>
    private static uint[] NamesOf(GraphRoot* root, Partition* part, out uint[] rows)
    {
        var names = new uint[part->LocalCount];
        rows = new uint[part->RowCount];
        for (uint master = 0; master < part->MasterCount; master++)
            names[master] = rows[master] = part->Id[master];
        for (var other = 0; other < root->PartitionCount; other++)
        {
            var theirs = root->Partitions + other;
            var toHere = theirs->Links + part->Index;
            for (uint mirror = 0; mirror < toHere->ExportCount; mirror++)
                names[part->Links[other].FirstMirror + mirror] = theirs->Id[toHere->ExportMaster[mirror]];
            for (uint partial = 0; partial < part->Links[other].PartialCount; partial++)
                rows[part->Links[other].FirstPartialRow + partial] = theirs->Id[theirs->Hub[part->Links[other].PartialHub[partial]]];
        }

        return names;
    }
}
