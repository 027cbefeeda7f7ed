using Hotpot.Clients;

namespace Hotpot.Demo.Measuring;

/// <summary>Compares what a node shows with what was there before.</summary>
internal static class ByteComparison
{
    // Large enough that fetching a piece is one request for many pages.
    private const int PieceBytes = 1 << 20;

    /// <summary>The number of bytes in which the mapping and the file differ; a difference in length counts too.</summary>
    public static long CountDifferences(Mapping mapping, string file)
    {
        using var copy = File.OpenRead(file);
        var differences = Math.Abs(mapping.Size - copy.Length);
        var expected = new byte[PieceBytes];
        for (long offset = 0; offset < Math.Min(mapping.Size, copy.Length);)
        {
            var length = (int)Math.Min(PieceBytes, Math.Min(mapping.Size, copy.Length) - offset);
            copy.ReadExactly(expected, 0, length);
            differences += CountDifferences(expected.AsSpan(0, length), mapping.GetReadOnlySpan(offset, length));
            offset += length;
        }

        return differences;
    }

    internal static long CountDifferences(ReadOnlySpan<byte> expected, ReadOnlySpan<byte> actual)
    {
        long differences = 0;
        while (true)
        {
            var equal = expected.CommonPrefixLength(actual);
            if (equal == expected.Length)
                return differences;
            differences++;
            expected = expected[(equal + 1)..];
            actual = actual[(equal + 1)..];
        }
    }
}
