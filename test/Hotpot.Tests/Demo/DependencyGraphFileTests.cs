using System.IO.Compression;
using System.Security.Cryptography;
using Hotpot.PackageGraph;
using Xunit;

namespace Hotpot.Tests.Demo;

public sealed class DependencyGraphFileTests
{
    // The worked example at the head of DependencyGraphFile, without its digest.
    private static readonly byte[] s_example = [0x48, 0x50, 0x44, 0x47, 1, 0, 2, 1, 0, 1, 0x61, 1, 1, 0x62, 0, 1, 0];

    [Fact]
    public void The_shipped_graph_has_the_packages_and_edges_of_Debian_12()
    {
        var graph = DependencyGraphFile.Read(ShippedGraph.Path);

        Assert.Equal(63_436, graph.VertexCount);
        Assert.Equal(309_496, graph.EdgeCount);
        Assert.Contains(graph.Find("libc6")!.Value, graph.Targets(graph.Find("bash")!.Value).ToArray());
    }

    [Fact]
    public void What_was_written_is_read_again()
    {
        var graph = new DependencyGraph(["bash", "bash-doc", "libc6", "libc6-dev", "zsh"], [0, 1, 2, 2, 3, 5], [2, 0, 2, 0, 2]);

        var read = Read(Write(graph));

        Assert.Equal(graph.EdgeCount, read.EdgeCount);
        Assert.Equal(Enumerable.Range(0, 5).Select(graph.Name), Enumerable.Range(0, read.VertexCount).Select(read.Name));
        for (var vertex = 0; vertex < 5; vertex++)
            Assert.Equal(graph.Targets(vertex).ToArray(), read.Targets(vertex).ToArray());
    }

    [Fact]
    public void The_payload_is_the_documented_one()
    {
        var file = Write(new DependencyGraph(["a", "ab"], [0, 0, 1], [0]));

        Assert.Equal([.. s_example, .. SHA256.HashData(s_example)], Decompress(file));
    }

    [Fact]
    public void The_same_graph_makes_the_same_bytes()
    {
        var graph = DependencyGraphFile.Read(ShippedGraph.Path);

        Assert.Equal(Write(graph), Write(graph));
    }

    [Fact]
    public void A_file_cut_anywhere_is_refused()
    {
        var file = Write(new DependencyGraph(["a", "ab"], [0, 0, 1], [0]));

        for (var length = 0; length < file.Length; length++)
            Assert.Throws<InvalidDataException>(() => Read(file[..length]));
    }

    [Fact]
    public void A_payload_with_any_byte_changed_is_refused()
    {
        byte[] payload = [.. s_example, .. SHA256.HashData(s_example)];

        for (var index = 0; index < payload.Length; index++)
        {
            var damaged = payload.ToArray();
            damaged[index] ^= 0x40;
            Assert.Throws<InvalidDataException>(() => Read(Compress(damaged)));
        }
    }

    [Theory]
    [InlineData("version", 4, 2)]
    [InlineData("number of edges", 7, 2)]
    [InlineData("shared length of a name", 11, 2)]
    [InlineData("length of a name", 12, 0x7f)]
    [InlineData("degree of a vertex", 15, 2)]
    [InlineData("target that is the vertex itself", 16, 1)]
    public void A_payload_that_breaks_a_rule_is_refused_although_its_digest_fits(string rule, int index, byte value)
    {
        var payload = s_example.ToArray();
        payload[index] = value;

        var exception = Record.Exception(() => Read(Compress([.. payload, .. SHA256.HashData(payload)])));

        Assert.True(exception is InvalidDataException, $"A wrong {rule} gave {exception?.GetType().Name ?? "no exception"}.");
    }

    [Fact]
    public void A_payload_with_a_fitting_digest_is_read()
    {
        // The positive control of the test above: its way to sign and compress a payload is right.
        Assert.Equal("ab", Read(Compress([.. s_example, .. SHA256.HashData(s_example)])).Name(1));
    }

    [Fact]
    public void Names_out_of_order_are_refused()
    {
        byte[] payload = [0x48, 0x50, 0x44, 0x47, 1, 0, 2, 0, 0, 1, 0x62, 0, 1, 0x61, 0, 0];

        Assert.Throws<InvalidDataException>(() => Read(Compress([.. payload, .. SHA256.HashData(payload)])));
    }

    private static byte[] Write(DependencyGraph graph)
    {
        using var stream = new MemoryStream();
        DependencyGraphFile.Write(stream, graph);
        return stream.ToArray();
    }

    private static DependencyGraph Read(byte[] file)
    {
        using var stream = new MemoryStream(file);
        return DependencyGraphFile.Read(stream);
    }

    private static byte[] Compress(byte[] payload)
    {
        using var stream = new MemoryStream();
        using (var brotli = new BrotliStream(stream, CompressionLevel.Optimal, leaveOpen: true))
            brotli.Write(payload);
        return stream.ToArray();
    }

    private static byte[] Decompress(byte[] file)
    {
        using var payload = new MemoryStream();
        using var brotli = new BrotliStream(new MemoryStream(file), CompressionMode.Decompress);
        brotli.CopyTo(payload);
        return payload.ToArray();
    }
}
