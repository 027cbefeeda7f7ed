namespace Hotpot.Grains.Dataset;

/// <summary>How many entries of a map are in which condition. Filled by <see cref="ChunkMap"/> and not changed afterwards.</summary>
internal sealed class ChunkMapCounts
{
    public uint Assigned { get; set; }

    public uint Recovering { get; set; }

    /// <summary>Of those: the ones that nobody can own now.</summary>
    public uint Waiting { get; set; }

    /// <summary>Joining replicas, summed over the entries.</summary>
    public uint Joining { get; set; }

    /// <summary>How many owned entries have so many counted replicas, by that number.</summary>
    public uint[] Counted { get; } = new uint[Limits.MaxDegree + 1];

    /// <summary>Counted replicas short of the degree, summed over the entries; an entry that nobody owns lacks all of them.</summary>
    public uint Missing(int degree)
    {
        uint missing = Waiting * (uint)degree;
        for (int counted = 0; counted < degree; counted++)
            missing += Counted[counted] * (uint)(degree - counted);
        return missing;
    }
}
