using Hotpot.Bench.Benches.Open;
using Hotpot.Bench.Harness;
using Hotpot.Grains;

namespace Hotpot.Tests.Bench;

public sealed class OpenBenchTests
{
    /// <summary>Addresses of removed datasets are not given again.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void AllDatasetsOfARunFitIntoTheAddressRegion(bool quick)
    {
        HotpotGrainsOptions options = new();
        decimal needed = OpenBench.s_sizes.Sum(size => (decimal)size.Bytes * OpenBench.OperationsOf(size.Bytes, quick) * (Duel.TurnsMin + 1));

        Assert.InRange(needed, 1, options.RegionEnd - options.RegionStart);
    }
}
