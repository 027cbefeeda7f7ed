using Hotpot.Store.Layout;

namespace Hotpot.Store;

/// <summary>What is decided about a store when it is created, and never changes.</summary>
public sealed record StoreOptions
{
    /// <summary>Of the dataset; rounded up to whole stripes. It does not grow.</summary>
    public required long Bytes { get; init; }

    /// <summary>On how many nodes each change is durable before it is acknowledged.</summary>
    public int Degree { get; init; } = 1;

    /// <summary>
    /// The dataset's chunk, and the unit of locking: a power of two. Smaller stripes let more nodes insert at once; larger ones make scans cheaper and hold larger
    /// records (a third of a stripe at most).
    /// </summary>
    public long StripeBytes { get; init; } = 16 << 20;

    internal int Stripes
    {
        get
        {
            long bytes = new StripeLayout(StripeBytes).Bytes;
            if (Bytes <= 0)
                throw new InvalidRequestException($"A store of {Bytes} bytes is not possible; give a positive number.");
            return checked((int)((Bytes + bytes - 1) / bytes));
        }
    }
}
