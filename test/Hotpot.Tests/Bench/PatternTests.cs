using System.Runtime.InteropServices;
using Hotpot.Bench.Node;

namespace Hotpot.Tests.Bench;

public sealed class PatternTests
{
    [Theory]
    [InlineData(0, 0)]
    [InlineData(0, 8)]
    [InlineData(4096, 4096)]
    [InlineData(8, 1048)]
    [InlineData((1L << 40) + 64, 65536)]
    public void Sums_agree_with_adding_up(long offset, int length)
    {
        var bytes = new byte[length];
        Pattern.Fill(bytes, offset);
        ulong expected = 0;
        foreach (var word in MemoryMarshal.Cast<byte, ulong>(bytes.AsSpan()))
            expected = unchecked(expected + word);

        Assert.Equal(expected, Pattern.SumOf(offset, length));
        Assert.Equal(expected, Pattern.Sum(bytes));
    }

    [Fact]
    public void A_wrong_byte_shows_in_the_sum()
    {
        var bytes = new byte[4096];
        Pattern.Fill(bytes, offset: 4096);
        bytes[4095] ^= 1;

        Assert.NotEqual(Pattern.SumOf(4096, 4096), Pattern.Sum(bytes));
    }
}
