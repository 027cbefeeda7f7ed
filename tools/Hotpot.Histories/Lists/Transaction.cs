namespace Hotpot.Histories.Lists;

/// <summary>An operation on lists, as a node of the dependency graph.</summary>
internal sealed class Transaction(int index, Operation operation)
{
    public int Index { get; } = index;

    public Operation Operation { get; } = operation;

    public bool Ok => Operation.Outcome == Outcome.Ok;

    /// <summary>When the first read that shows one of its elements ended, and that read. Written by <see cref="ListHistory.FindOrder"/> only.</summary>
    public (long TimeUs, Operation Read)? Seen { get; private set; }

    /// <summary>Whether it is known to have happened.</summary>
    public bool Happened => Ok || (Operation.Outcome == Outcome.Unknown && Seen is not null);

    /// <summary>By when it is known to have happened; never, if it is not.</summary>
    public long HappenedByUs => Math.Min(
        Ok ? Operation.CompleteUs!.Value : long.MaxValue,
        Operation.Outcome != Outcome.Fail && Seen is { } seen ? seen.TimeUs : long.MaxValue);

    public void SeenBy(Operation read)
    {
        if (Seen is not { } seen || read.CompleteUs!.Value < seen.TimeUs) Seen = (read.CompleteUs!.Value, read);
    }
}
