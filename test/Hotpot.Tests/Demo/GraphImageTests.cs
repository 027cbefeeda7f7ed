using System.Runtime.InteropServices;
using Hotpot.Demo.Graph;
using Hotpot.PackageGraph;
using Xunit;

namespace Hotpot.Tests.Demo;

public sealed unsafe class GraphImageTests
{
    private static readonly DependencyGraph s_graph = new(["alpha", "beta", "gamma"], [0, 2, 3, 3], [1, 2, 2]);

    [Fact]
    public void The_pointers_lead_to_the_names_and_dependents_of_the_graph()
    {
        var size = GraphImage.SizeFor(s_graph);
        var memory = (byte*)NativeMemory.AllocZeroed((nuint)size);
        try
        {
            GraphImage.Write(s_graph, memory, size);
            var root = GraphImage.Open(memory);

            Assert.Equal(3, root->VertexCount);
            Assert.Equal(3, root->EdgeCount);
            var gamma = root->Vertices + 2;
            Assert.Equal("gamma", GraphImage.NameOf(gamma));
            Assert.Equal(2, gamma->DependentCount);
            Assert.Equal(0, gamma->DependencyCount);
            Assert.Equal("alpha", GraphImage.NameOf(gamma->Dependents[0]));
            Assert.Equal("beta", GraphImage.NameOf(gamma->Dependents[1]));
            Assert.Equal(2, gamma->Dependents[0]->DependencyCount);
        }
        finally
        {
            NativeMemory.Free(memory);
        }
    }

    [Fact]
    public void Loading_leaves_the_chunks_of_the_ranks_untouched()
    {
        var size = GraphImage.SizeFor(s_graph);
        var memory = (byte*)NativeMemory.AllocZeroed((nuint)size);
        try
        {
            GraphImage.Write(s_graph, memory, size);

            var loaded = GraphImage.LoadedBytes(s_graph);
            Assert.Equal(0, loaded % GraphImage.RegionAlignment);
            Assert.True(new ReadOnlySpan<byte>(memory + loaded, (int)(size - loaded)).IndexOfAnyExcept((byte)0) < 0);
            Assert.Equal((nint)(memory + loaded), (nint)GraphImage.Open(memory)->EvenRanks);
        }
        finally
        {
            NativeMemory.Free(memory);
        }
    }

    [Fact]
    public void A_place_that_is_too_small_is_refused_before_anything_is_stored()
    {
        var small = stackalloc byte[16];

        Assert.Throws<ArgumentOutOfRangeException>(() => WriteTo((nint)small, 16));
        Assert.True(new ReadOnlySpan<byte>(small, 16).IndexOfAnyExcept((byte)0) < 0);
    }

    [Fact]
    public void Memory_without_a_graph_is_refused()
    {
        var empty = stackalloc byte[sizeof(GraphRoot)];

        Assert.Throws<InvalidDataException>(() => OpenAt((nint)empty));
    }

    private static void WriteTo(nint memory, long size) => GraphImage.Write(s_graph, (byte*)memory, size);

    private static void OpenAt(nint memory) => GraphImage.Open((byte*)memory);
}
