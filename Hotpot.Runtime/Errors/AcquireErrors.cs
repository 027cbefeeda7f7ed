namespace Hotpot.Runtime;

/// <summary>A single-writer dataset was committed to, or a range released, without the grant for it.</summary>
[GenerateSerializer]
public sealed class NotAcquiredException(string message) : HotpotException(message)
{
    public override HotpotStatus Status => HotpotStatus.NotAcquired;
}

/// <summary>A participant of the barrier is gone, or its participants do not agree on their number.</summary>
[GenerateSerializer]
public sealed class BarrierBrokenException(string message) : HotpotException(message)
{
    public override HotpotStatus Status => HotpotStatus.BarrierBroken;
}

/// <summary>The caller holds the range, or part of it, already.</summary>
[GenerateSerializer]
public sealed class AlreadyAcquiredException(string message) : HotpotException(message)
{
    public override HotpotStatus Status => HotpotStatus.AlreadyAcquired;

    public static AlreadyAcquiredException Of(string dataset, ByteRange range) =>
        new($"This node has acquired bytes {range} of dataset '{dataset}' already; dispose the earlier grant before acquiring them again.");
}
