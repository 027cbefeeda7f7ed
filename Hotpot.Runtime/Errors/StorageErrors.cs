namespace Hotpot.Runtime;

/// <summary>The data directory is full. Nothing that was acknowledged is lost; the request was not carried out.</summary>
[GenerateSerializer]
public sealed class DiskFullException(string message) : HotpotException(message)
{
    public override HotpotStatus Status => HotpotStatus.DiskFull;
}

/// <summary>The data directory could not be read or written.</summary>
[GenerateSerializer]
public sealed class StorageException(string message) : HotpotException(message)
{
    public override HotpotStatus Status => HotpotStatus.Io;
}

/// <summary>A record in the middle of the redo log is damaged; the message names the file and the offset.</summary>
[GenerateSerializer]
public sealed class CorruptLogException(string message) : HotpotException(message)
{
    public override HotpotStatus Status => HotpotStatus.Corrupt;
}

/// <summary>An earlier persist failed, so its outcome is unknown and nothing is acknowledged any more.</summary>
[GenerateSerializer]
public sealed class LogPoisonedException(string message) : HotpotException(message)
{
    public override HotpotStatus Status => HotpotStatus.Poisoned;
}

/// <summary>Another process has the data directory open.</summary>
[GenerateSerializer]
public sealed class NodeInUseException(string message) : HotpotException(message)
{
    public override HotpotStatus Status => HotpotStatus.NodeInUse;
}

/// <summary>The native side could not get memory.</summary>
[GenerateSerializer]
public sealed class NativeMemoryException(string message) : HotpotException(message)
{
    public override HotpotStatus Status => HotpotStatus.NoMemory;
}
