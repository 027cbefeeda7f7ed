namespace Hotpot.Runtime;

/// <summary>A single-writer dataset was committed to, or a range released, without the grant for it.</summary>
[GenerateSerializer]
public sealed class NotAcquiredException(string message) : HotpotException(message)
{
    public override HotpotStatus Status => HotpotStatus.NotAcquired;
}

/// <summary>
/// Two holders of the same pages as Shared both want them as Exclusive: each would wait for the other for ever. The one that asked later gets this and still
/// holds its Shared grant; it must dispose it before the other can go on.
/// </summary>
[GenerateSerializer]
public sealed class UpgradeConflictException(string message) : HotpotException(message)
{
    public override HotpotStatus Status => HotpotStatus.UpgradeConflict;

    public static UpgradeConflictException With(NodeId other, ByteRange range) =>
        new($"Node {other} waits already to upgrade part of bytes {range}; dispose the shared grant, acquire exclusively and read again.");
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
