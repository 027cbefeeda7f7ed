using Hotpot.Grains.Acquire;
using Hotpot.Grains.Node;

namespace Hotpot.Grains.Commit;

/// <summary>What a commit consists of: it can be collected into a new transaction as often as the commit is repeated.</summary>
internal abstract class CommitWork
{
    public abstract LocalDataset[] Datasets { get; }

    /// <summary>Puts the changes into a transaction; returns the changed bytes found.</summary>
    public abstract long Collect(INodeEngine engine, INodeTransaction transaction);

    /// <summary>The ranges that the transaction stays inside; only for datasets with a single writer.</summary>
    public abstract ByteRange[] DeclaredRanges(DatasetId dataset);

    /// <summary>The pages that the commit covers, for the release of grants; none means the whole dataset.</summary>
    public abstract IReadOnlyList<ByteRange> CommittedPages(DatasetDescription dataset);

    protected static NotAcquiredException NotAcquired(DatasetDescription dataset) => new(
        $"Dataset '{dataset.Name}' has a single writer and this node does not hold the grant for all pages of the commit; acquire them first.");

    /// <summary>The granted ranges contain every byte of the range. The grants are in order and do not overlap.</summary>
    protected static bool Covers(ByteRange[] granted, ByteRange range)
    {
        long covered = range.Offset;
        foreach (ByteRange grant in granted)
        {
            if (grant.Offset > covered)
                break;
            covered = Math.Max(covered, grant.End);
        }
        return covered >= range.End;
    }
}

/// <summary>Stores of the application to its mappings.</summary>
internal sealed class StoresWork((LocalDataset Dataset, ByteRange[] Ranges)[] scopes, Acquirer acquirer) : CommitWork
{
    // One for each scope. Written by Collect, read by DeclaredRanges after it, both by the one commit that owns this.
    private readonly ByteRange[][] _declared = new ByteRange[scopes.Length][];

    public override LocalDataset[] Datasets { get; } = Array.ConvertAll(scopes, static scope => scope.Dataset);

    public override long Collect(INodeEngine engine, INodeTransaction transaction)
    {
        long bytes = 0;
        for (int i = 0; i < scopes.Length; i++)
        {
            (LocalDataset dataset, ByteRange[] ranges) = scopes[i];
            DatasetDescription description = dataset.Description;
            _declared[i] = [];
            bytes += description.Mode == SharingMode.SingleWriter
                ? CollectGranted(engine, transaction, description, ranges, out _declared[i])
                : transaction.Collect(description.Id, ranges);
        }
        return bytes;
    }

    public override ByteRange[] DeclaredRanges(DatasetId dataset)
    {
        ByteRange[] declared = [];
        for (int i = 0; i < scopes.Length; i++)
        {
            if (scopes[i].Dataset.Description.Id == dataset)
                declared = declared.Length == 0 ? _declared[i] : [.. declared, .. _declared[i]];
        }
        return declared;
    }

    public override IReadOnlyList<ByteRange> CommittedPages(DatasetDescription dataset) =>
        [.. scopes.Where(scope => scope.Dataset.Description.Id == dataset.Id).SelectMany(scope => scope.Ranges).Select(dataset.PagesOf)];

    /// <summary>
    /// In a dataset with a single writer only granted pages may be committed. Ranges that are named must be granted. For the whole mapping the granted ranges
    /// are collected, and a store anywhere else is an error rather than something silently left out.
    /// </summary>
    private long CollectGranted(
        INodeEngine engine, INodeTransaction transaction, DatasetDescription dataset, ByteRange[] ranges, out ByteRange[] declared)
    {
        ByteRange[] granted = acquirer.HeldExclusively(dataset.Id);
        declared = ranges.Length > 0 ? ranges : granted;
        if (ranges.Length > 0)
        {
            foreach (ByteRange range in ranges)
            {
                if (!Covers(granted, range))
                    throw NotAcquired(dataset);
            }
            return transaction.Collect(dataset.Id, ranges);
        }
        ByteRange[] outside = [.. Complement(granted, dataset.Size)];
        if (outside.Length > 0)
        {
            using INodeTransaction probe = engine.CreateTransaction();
            if (probe.Collect(dataset.Id, outside) > 0)
                throw NotAcquired(dataset);
        }
        // No range would mean the whole mapping, of which nothing has changed.
        return granted.Length == 0 ? 0 : transaction.Collect(dataset.Id, granted);
    }

    internal static IEnumerable<ByteRange> Complement(IEnumerable<ByteRange> ordered, long size)
    {
        long end = 0;
        foreach (ByteRange range in ordered)
        {
            if (range.Offset > end)
                yield return new ByteRange(end, range.Offset - end);
            end = Math.Max(end, range.End);
        }
        if (end < size)
            yield return new ByteRange(end, size - end);
    }
}

/// <summary>Bytes that the caller brings along.</summary>
internal sealed class BytesWork(LocalDataset dataset, IReadOnlyList<ByteWrite> writes, Acquirer acquirer) : CommitWork
{
    public override LocalDataset[] Datasets { get; } = [dataset];

    public override long Collect(INodeEngine engine, INodeTransaction transaction)
    {
        DatasetDescription description = dataset.Description;
        if (description.Mode == SharingMode.SingleWriter)
        {
            ByteRange[] granted = acquirer.HeldExclusively(description.Id);
            if (!writes.All(write => Covers(granted, write.Range)))
                throw NotAcquired(description);
        }
        long bytes = 0;
        foreach (ByteWrite write in writes)
        {
            transaction.Write(description.Id, write.Offset, write.Bytes.Span);
            bytes += write.Bytes.Length;
        }
        return bytes;
    }

    public override ByteRange[] DeclaredRanges(DatasetId id) => [.. writes.Select(write => write.Range)];

    public override IReadOnlyList<ByteRange> CommittedPages(DatasetDescription description) => [.. writes.Select(write => description.PagesOf(write.Range))];
}
