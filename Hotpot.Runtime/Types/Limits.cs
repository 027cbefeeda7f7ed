namespace Hotpot.Runtime;

/// <summary>The bounds that hotpot.h states; each has the same value as the constant of the like name there.</summary>
public static class Limits
{
    /// <summary>HP_PAGE_SIZE: the unit of coherence.</summary>
    public const int PageBytes = 4096;

    /// <summary>HP_MAX_DEGREE: the most nodes that may hold one chunk durably.</summary>
    public const int MaxDegree = 8;

    /// <summary>HP_MAX_NODES: a sharer set is one 64-bit word.</summary>
    public const int MaxNodes = 64;

    /// <summary>HP_MAX_TX_BYTES: the most changed bytes that one commit carries.</summary>
    public const long MaxTransactionBytes = 32L << 20;

    /// <summary>HP_MAX_TX_PAGES: the most pages that one commit changes.</summary>
    public const int MaxTransactionPages = 65536;

    /// <summary>HP_MIN_FRONT_BUDGET: below it pages would not stay long enough to be used.</summary>
    public const long MinFrontBudget = 8L << 20;

    /// <summary>HP_MIN_LOG_LIMIT: room for a checkpoint's snapshot and the largest commits.</summary>
    public const long MinLogLimit = 256L << 20;

    /// <summary>The smallest and largest chunk, as powers of two (hp_dataset_desc.chunk_log2).</summary>
    public const int MinChunkLog2 = 12;

    public const int MaxChunkLog2 = 30;

    /// <summary>4 MiB: large enough that a chunk map stays small, small enough that ownership can follow its user.</summary>
    public const int DefaultChunkLog2 = 22;

    /// <summary>A dataset's name is 1 to 255 bytes of UTF-8.</summary>
    public const int MaxNameBytes = 255;

    /// <summary>The longest key that proves membership of the cluster, and the shortest that is worth having.</summary>
    public const int MaxClusterKeyBytes = 64;

    public const int MinClusterKeyBytes = 16;
}
