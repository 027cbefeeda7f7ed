namespace Hotpot.Benchmarks;

/// <summary>How many bytes of managed memory the process may allocate for each operation of a benchmark.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class BytesAtMostAttribute(long bytes) : Attribute
{
    public long Bytes { get; } = bytes;
}
