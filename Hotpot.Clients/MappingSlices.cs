namespace Hotpot.Clients;

/// <summary>A long range of a mapping as consecutive spans, for foreach.</summary>
public ref struct MappingSlices
{
    /// <summary>Large enough that the loop costs nothing, small enough that each slice is fetched before it is used.</summary>
    public const int DefaultSliceBytes = 4 << 20;

    private readonly Mapping _mapping;
    private readonly int _sliceBytes;
    private long _next;
    private long _left;

    internal MappingSlices(Mapping mapping, long offset, long length, int sliceBytes)
    {
        if (sliceBytes <= 0)
            throw new InvalidRequestException($"Slices of {sliceBytes} bytes are not possible; give a positive number.");
        _mapping = mapping;
        _sliceBytes = sliceBytes;
        _next = offset;
        _left = length;
        Current = default;
    }

    public Span<byte> Current { get; private set; }

    public readonly MappingSlices GetEnumerator() => this;

    public bool MoveNext()
    {
        if (_left == 0)
            return false;
        int length = (int)Math.Min(_left, _sliceBytes);
        Current = _mapping.GetSpan(_next, length);
        _next += length;
        _left -= length;
        return true;
    }
}
