using System.Diagnostics;
using Hotpot.Bench.Harness;

namespace Hotpot.Tests.Bench;

public sealed class SamplesTests
{
    [Theory]
    [InlineData(50, 5)]
    [InlineData(90, 9)]
    [InlineData(91, 10)]
    [InlineData(99, 10)]
    [InlineData(100, 10)]
    [InlineData(0, 1)]
    public void A_percentile_is_the_smallest_sample_that_so_many_do_not_exceed(double percent, double expected)
    {
        Assert.Equal(expected, new Samples([10, 9, 8, 7, 6, 5, 4, 3, 2, 1]).Percentile(percent));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(101)]
    public void Percentiles_agree_with_counting(int count)
    {
        var random = new Random(count);
        double[] values = [.. Enumerable.Range(0, count).Select(_ => random.NextDouble())];
        Samples samples = new(values);
        for (var percent = 1; percent <= 100; percent++)
        {
            var expected = values.Where(value => values.Count(other => other <= value) >= percent / 100.0 * count).Min();
            Assert.Equal(expected, samples.Percentile(percent));
        }
    }

    [Fact]
    public void The_mean_feels_what_the_median_does_not()
    {
        Samples samples = new([1, 1, 1, 1, 96]);

        Assert.Equal(1, samples.Median);
        Assert.Equal(20, samples.Mean);
        Assert.Equal(5, samples.Count);
    }

    [Fact]
    public void There_is_no_distribution_of_nothing() => Assert.Throws<ArgumentException>(() => new Samples([]));

    [Fact]
    public void A_second_is_a_million_microseconds() => Assert.Equal(1e6, Samples.Microseconds(Stopwatch.Frequency));
}
