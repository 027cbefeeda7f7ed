using System.Numerics;
using System.Text;

namespace Hotpot.Grains.Namespace;

/// <summary>What a dataset may be, and where it goes in the address space. Pure functions.</summary>
internal static class NamespaceRules
{
    /// <summary>
    /// A map of a million chunks takes the dataset grain some 16 MB; with the largest chunk that is a dataset of 1 PiB, far beyond the region.
    /// </summary>
    public const long MaxChunks = 1 << 20;

    /// <summary>Bases are aligned to the largest page the kernel maps, and a pointer's high bits tell the dataset.</summary>
    public const ulong BaseAlignment = 1UL << 30;

    /// <summary>Unmapped space behind every dataset, so that a run past the end faults instead of reaching the next one.</summary>
    public const ulong GuardGap = 1UL << 30;

    /// <summary>Throws the exception that names what is wrong; returns the size in whole pages.</summary>
    public static long Validate(CreateDatasetRequest request, int liveNodes, ulong regionBytes)
    {
        ValidateName(request.Name);
        if (request.RequestId == Guid.Empty)
            throw new InvalidRequestException("The request id is empty; give each create request an id of its own.");
        if (request.Size <= 0)
            throw new InvalidRequestException($"The dataset's size is {request.Size}; give it at least one byte.");
        if ((ulong)request.Size > regionBytes)
            throw new InvalidRequestException($"The dataset's size is {request.Size} bytes, but the address region has {regionBytes}; make it smaller or enlarge the region.");
        if (request.ChunkLog2 is < Limits.MinChunkLog2 or > Limits.MaxChunkLog2)
            throw new InvalidRequestException(
                $"The chunk size is 2^{request.ChunkLog2} bytes; choose a power of two from 2^{Limits.MinChunkLog2} to 2^{Limits.MaxChunkLog2}.");
        if (!Enum.IsDefined(request.Mode))
            throw new InvalidRequestException($"The sharing mode {request.Mode} is unknown; use {SharingMode.MultiWriter} or {SharingMode.SingleWriter}.");
        long size = checked((request.Size + Limits.PageBytes - 1) / Limits.PageBytes * Limits.PageBytes);
        long chunks = (size - 1 >> request.ChunkLog2) + 1;
        if (chunks > MaxChunks)
            throw new LimitReachedException(
                $"The dataset would have {chunks} chunks and at most {MaxChunks} are possible; choose chunks of at least 2^{SmallestChunkLog2(size)} bytes.");
        if (request.Degree is < 1 or > Limits.MaxDegree)
            throw new InvalidRequestException($"The degree is {request.Degree}; choose 1 to {Limits.MaxDegree}.");
        if (request.Degree > liveNodes)
            throw new DegreeException(
                $"The degree is {request.Degree} but only {liveNodes} nodes are up; start more silos or choose a smaller degree.")
            {
                Asked = request.Degree,
                Reached = liveNodes,
            };
        return size;
    }

    public static void ValidateName(string name)
    {
        if (string.IsNullOrEmpty(name))
            throw InvalidDatasetNameException.Empty();
        int bytes = Encoding.UTF8.GetByteCount(name);
        if (bytes > Limits.MaxNameBytes)
            throw InvalidDatasetNameException.TooLong(bytes);
        if (name.Any(char.IsControl))
            throw InvalidDatasetNameException.ControlCharacter();
    }

    /// <summary>
    /// The base of a dataset and the first address behind its gap. Addresses are never given out twice, so a pointer into a removed
    /// dataset can never point into another one.
    /// </summary>
    public static (ulong Base, ulong Next) Allocate(ulong next, long size, ulong regionStart, ulong regionEnd)
    {
        ulong start = AlignUp(Math.Max(next, regionStart));
        if (start >= regionEnd || (ulong)size > regionEnd - start)
            throw new LimitReachedException(
                $"The address region has no room for {size} more bytes; enlarge the region on all nodes.");
        return (start, AlignUp(checked(start + (ulong)size)) + GuardGap);
    }

    private static ulong AlignUp(ulong address) => checked(address + BaseAlignment - 1) / BaseAlignment * BaseAlignment;

    private static int SmallestChunkLog2(long size) => BitOperations.Log2((ulong)((size + MaxChunks - 1) / MaxChunks) - 1) + 1;
}
