namespace Hotpot.Runtime;

/// <summary>A commit of stores was asked for, but the dataset has no writable mapping in this silo.</summary>
[GenerateSerializer]
public sealed class NotMappedException(string message) : HotpotException(message)
{
    public override HotpotStatus Status => HotpotStatus.NotMapped;
}

/// <summary>Something else is mapped at the dataset's base address in this process.</summary>
[GenerateSerializer]
public sealed class AddressInUseException(string message) : HotpotException(message)
{
    public override HotpotStatus Status => HotpotStatus.AddressInUse;
}

/// <summary>The kernel or the container does not permit userfaultfd, so views cannot be mapped.</summary>
[GenerateSerializer]
public sealed class UserfaultfdDeniedException(string message) : HotpotException(message)
{
    public override HotpotStatus Status => HotpotStatus.UserfaultfdDenied;
}

/// <summary>A buffer handed to the engine lies inside a mapped view, where touching it could wait for itself.</summary>
[GenerateSerializer]
public sealed class BufferInViewException(string message) : HotpotException(message)
{
    public override HotpotStatus Status => HotpotStatus.BufferInView;
}

/// <summary>No owner and no replica could serve a page in time.</summary>
[GenerateSerializer]
public sealed class PageUnreachableException(string message) : HotpotException(message)
{
    public override HotpotStatus Status => HotpotStatus.Unreachable;
}

/// <summary>The operation needs the memory of a silo, and this process runs none.</summary>
[GenerateSerializer]
public sealed class NoSiloHereException(string message) : HotpotException(message)
{
    public override HotpotStatus Status => HotpotStatus.NoSiloHere;
}
