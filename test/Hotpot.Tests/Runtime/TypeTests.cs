using Hotpot.Runtime;

namespace Hotpot.Tests.Runtime;

public sealed class TypeTests
{
    [Theory]
    [InlineData(1ul, "0000000000000001")]
    [InlineData(ulong.MaxValue, "ffffffffffffffff")]
    public void Identities_have_one_text_form(ulong value, string text)
    {
        Assert.Equal(text, new NodeId(value).ToString());
        Assert.Equal(new NodeId(value), NodeId.Parse(text));
        Assert.Equal(text, new DatasetId(value).ToString());
        Assert.Equal(new DatasetId(value), DatasetId.Parse(text));
    }

    [Theory]
    [InlineData("")]
    [InlineData("1")]
    [InlineData("000000000000000g")]
    [InlineData("00000000000000001")]
    [InlineData(" 000000000000001")]
    public void Anything_else_is_no_identity(string text)
    {
        Assert.False(NodeId.TryParse(text, out _));
        Assert.Throws<FormatException>(() => DatasetId.Parse(text));
    }

    [Fact]
    public void A_transaction_knows_the_incarnation_that_began_it() =>
        Assert.Equal(new Incarnation(7), new TransactionId(new NodeId(1), (7ul << 40) | 12345).Incarnation);

    [Theory]
    [InlineData(0, 100, true)]
    [InlineData(100, 0, true)]
    [InlineData(99, 1, true)]
    [InlineData(100, 1, false)]
    [InlineData(0, 101, false)]
    [InlineData(-1, 1, false)]
    [InlineData(0, -1, false)]
    [InlineData(long.MaxValue, long.MaxValue, false)]
    public void A_range_is_inside_or_refused(long offset, long length, bool inside)
    {
        Exception? refusal = Record.Exception(() => new ByteRange(offset, length).CheckInside(100, "d"));
        if (inside)
            Assert.Null(refusal);
        else
            Assert.IsType<RangeOutsideDatasetException>(refusal);
    }

    [Fact]
    public void A_chunk_entry_counts_only_synchronised_replicas()
    {
        ChunkEntry entry = new()
        {
            Chunk = new ChunkIndex(3), Epoch = Epoch.First, Owner = new NodeId(1),
            Replicas = [new NodeId(1), new NodeId(2), new NodeId(3)], JoiningMask = 0b100,
        };
        Assert.Equal(2, entry.CountedReplicas);
        Assert.True(entry.Holds(new NodeId(3)));
        Assert.True(entry.IsJoining(new NodeId(3)));
        Assert.False(entry.IsJoining(new NodeId(2)));
        Assert.False(entry.IsJoining(new NodeId(4)));
        Assert.Equal(entry, entry with { Replicas = [.. entry.Replicas] });
        Assert.NotEqual(entry, entry with { JoiningMask = 0 });
    }

    [Theory]
    [InlineData(1, 22, 1u)]
    [InlineData(4 << 20, 22, 1u)]
    [InlineData((4 << 20) + 4096, 22, 2u)]
    public void A_dataset_has_a_chunk_for_every_byte(long size, int chunkLog2, uint chunks)
    {
        DatasetDescription dataset = new()
        {
            Id = new DatasetId(1), Name = "d", BaseAddress = 0x1000_0000_0000, Size = size, ChunkLog2 = chunkLog2, Degree = 1, Mode = SharingMode.MultiWriter,
        };
        Assert.Equal(chunks, dataset.ChunkCount);
        Assert.Equal(new ChunkIndex(chunks - 1), dataset.ChunkOf(size - 1));
    }
}
