namespace Hotpot.Store;

/// <summary>What a store holds.</summary>
public readonly record struct StoreStatistics(long Records, long RecordBytes, int TreeNodes, long UsedPages)
{
    public static StoreStatistics operator +(StoreStatistics a, StoreStatistics b) =>
        new(a.Records + b.Records, a.RecordBytes + b.RecordBytes, a.TreeNodes + b.TreeNodes, a.UsedPages + b.UsedPages);
}
