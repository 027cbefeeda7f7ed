using System.Globalization;

namespace Hotpot.Runtime;

/// <summary>
/// A half-open range of bytes of a dataset. The layout is that of hp_range: two 64-bit words, passed to native code
/// by pointer without a copy.
/// </summary>
[GenerateSerializer]
public readonly record struct ByteRange([property: Id(0)] long Offset, [property: Id(1)] long Length)
{
    /// <summary>The first offset behind the range.</summary>
    public long End => checked(Offset + Length);

    public bool IsEmpty => Length == 0;

    public bool Contains(long offset) => offset >= Offset && offset - Offset < Length;

    public bool Overlaps(ByteRange other) => Offset < other.End && other.Offset < End;

    /// <summary>Throws when any byte of the range lies outside a dataset of the given size.</summary>
    public void CheckInside(long size, string dataset)
    {
        if (Offset < 0 || Length < 0 || Offset > size || Length > size - Offset)
            throw RangeOutsideDatasetException.Of(this, size, dataset);
    }

    public override string ToString() =>
        string.Create(CultureInfo.InvariantCulture, $"[{Offset}, {Offset}+{Length})");
}
