using Hotpot.Cli;

namespace Hotpot.Tests.Cli;

public sealed class ByteSizeTests
{
    [Theory]
    [InlineData("0", 0)]
    [InlineData("4096", 4096)]
    [InlineData("64k", 65536)]
    [InlineData("64KiB", 65536)]
    [InlineData("3MB", 3145728)]
    [InlineData("2G", 2147483648)]
    [InlineData("1TiB", 1099511627776)]
    public void Sizes_are_read_as_people_write_them(string text, long bytes)
    {
        Assert.True(ByteSize.TryParse(text, out var parsed));
        Assert.Equal(bytes, parsed);
    }

    [Theory]
    [InlineData("")]
    [InlineData("K")]
    [InlineData("-1")]
    [InlineData("1.5G")]
    [InlineData("3X")]
    [InlineData("1KK")]
    [InlineData("9223372036854775808")]
    [InlineData("9000000P")]
    public void What_is_no_size_is_refused(string text)
    {
        Assert.False(ByteSize.TryParse(text, out _));
    }

    [Theory]
    [InlineData(0, "0 B")]
    [InlineData(1023, "1023 B")]
    [InlineData(1024, "1 KiB")]
    [InlineData(1536, "1.5 KiB")]
    [InlineData(4194304, "4 MiB")]
    public void Sizes_are_shown_in_the_largest_fitting_unit(long bytes, string text)
    {
        Assert.Equal(text, ByteSize.Format(bytes));
    }
}
