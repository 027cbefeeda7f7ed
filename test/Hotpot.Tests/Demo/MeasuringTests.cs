using System.Diagnostics;
using Hotpot.Demo.Measuring;
using Hotpot.Runtime;

namespace Hotpot.Tests.Demo;

public sealed class MeasuringTests
{
    [Theory]
    [InlineData("", "", 0)]
    [InlineData("same", "same", 0)]
    [InlineData("same", "sane", 1)]
    [InlineData("abcdef", "xbcdey", 2)]
    [InlineData("aaa", "bbb", 3)]
    public void Every_differing_byte_is_counted(string expected, string actual, long differences)
    {
        Assert.Equal(differences, ByteComparison.CountDifferences(System.Text.Encoding.ASCII.GetBytes(expected), System.Text.Encoding.ASCII.GetBytes(actual)));
    }

    [Fact]
    public void The_median_is_the_middle_one_in_microseconds()
    {
        var second = Stopwatch.Frequency;

        Assert.Equal(2e6, Median.MicrosecondsOf([3 * second, second, 2 * second]));
        Assert.Throws<ArgumentException>(() => Median.MicrosecondsOf([]));
    }

    [Fact]
    public void Numbered_pages_begin_with_their_numbers()
    {
        var pages = MemoryMeasurements.NumberedPages(3 * Limits.PageBytes);

        Assert.Equal(3 * Limits.PageBytes, pages.Length);
        for (var page = 0; page < 3; page++)
            Assert.Equal((ulong)page + 1, BitConverter.ToUInt64(pages, page * Limits.PageBytes));
    }
}
