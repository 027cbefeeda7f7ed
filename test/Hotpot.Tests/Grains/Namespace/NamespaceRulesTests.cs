using Hotpot.Grains;
using Hotpot.Grains.Namespace;

namespace Hotpot.Tests.Grains.Namespace;

public sealed class NamespaceRulesTests
{
    private const ulong Region = 64UL << 40;

    private static CreateDatasetRequest Request => new() { RequestId = Guid.NewGuid(), Name = "graph", Size = 1, Degree = 1 };

    private static long Validate(CreateDatasetRequest request, int nodes = 3) => NamespaceRules.Validate(request, nodes, Region);

    [Theory]
    [InlineData(1, 4096)]
    [InlineData(4096, 4096)]
    [InlineData(4097, 8192)]
    public void TheSizeIsRoundedUpToPages(long asked, long given) => Assert.Equal(given, Validate(Request with { Size = asked }));

    [Theory]
    [InlineData(0)]
    [InlineData(-5)]
    [InlineData(long.MaxValue)]
    public void ImpossibleSizesAreRefused(long size) => Assert.Throws<InvalidRequestException>(() => Validate(Request with { Size = size }));

    [Fact]
    public void NamesAreOneTo255BytesOfUtf8()
    {
        Validate(Request with { Name = new string('x', 255) });
        Validate(Request with { Name = string.Concat(Enumerable.Repeat("é", 127)) });
        Assert.Throws<InvalidDatasetNameException>(() => Validate(Request with { Name = "" }));
        Assert.Throws<InvalidDatasetNameException>(() => Validate(Request with { Name = new string('x', 256) }));
        Assert.Throws<InvalidDatasetNameException>(() => Validate(Request with { Name = string.Concat(Enumerable.Repeat("é", 128)) }));
        Assert.Throws<InvalidDatasetNameException>(() => Validate(Request with { Name = "a\nb" }));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(9)]
    public void TheDegreeIsOneToEight(int degree) => Assert.Throws<InvalidRequestException>(() => Validate(Request with { Degree = degree }, nodes: 64));

    [Fact]
    public void MoreCopiesThanNodesIsADegreeError()
    {
        DegreeException error = Assert.Throws<DegreeException>(() => Validate(Request with { Degree = 3 }, nodes: 2));
        Assert.Equal((2, 3, false), (error.Reached, error.Asked, error.Committed));
        Validate(Request with { Degree = 3 }, nodes: 3);
    }

    [Theory]
    [InlineData(11)]
    [InlineData(31)]
    public void ChunksHaveABound(int log2) => Assert.Throws<InvalidRequestException>(() => Validate(Request with { ChunkLog2 = log2 }));

    [Fact]
    public void TooManyChunksIsAnErrorThatNamesTheSizeThatWorks()
    {
        CreateDatasetRequest request = Request with { Size = (NamespaceRules.MaxChunks << 12) + 1, ChunkLog2 = 12 };
        LimitReachedException error = Assert.Throws<LimitReachedException>(() => Validate(request));
        Assert.Contains("2^13 bytes", error.Message, StringComparison.Ordinal);
        Validate(request with { ChunkLog2 = 13 });
        Validate(request with { Size = NamespaceRules.MaxChunks << 12 });
    }

    [Fact]
    public void AddressesAreAlignedApartAndNeverGivenTwice()
    {
        const ulong start = 0x1000_0000_0000, end = start + (100UL << 30);
        ulong next = 0, behind = start;
        long[] sizes = [4096, 1L << 30, (1L << 30) + 4096, 5L << 30];
        foreach (long size in sizes)
        {
            (ulong address, ulong following) = NamespaceRules.Allocate(next, size, start, end);
            Assert.Equal(0UL, address % NamespaceRules.BaseAlignment);
            Assert.True(address >= behind, "two datasets overlap");
            behind = address + (ulong)size + NamespaceRules.GuardGap;
            Assert.True(following >= behind, "the gap is too small");
            next = following;
        }
    }

    [Fact]
    public void AFullRegionIsAnError()
    {
        const ulong start = 0x1000_0000_0000, end = start + (10UL << 30);
        Assert.Equal(start, NamespaceRules.Allocate(0, 10L << 30, start, end).Base);
        Assert.Throws<LimitReachedException>(() => NamespaceRules.Allocate(0, (10L << 30) + 1, start, end));
        Assert.Throws<LimitReachedException>(() => NamespaceRules.Allocate(end, 4096, start, end));
    }
}
