namespace Hotpot.Runtime;

/// <summary>An argument is wrong; the message says which.</summary>
[GenerateSerializer]
public sealed class InvalidRequestException(string message) : HotpotException(message)
{
    public override HotpotStatus Status => HotpotStatus.Invalid;
}

/// <summary>A stated bound was reached; the message names it.</summary>
[GenerateSerializer]
public sealed class LimitReachedException(string message) : HotpotException(message)
{
    public override HotpotStatus Status => HotpotStatus.Limit;
}

/// <summary>The time given ran out before the work was done.</summary>
[GenerateSerializer]
public sealed class HotpotTimeoutException(string message) : HotpotException(message)
{
    public override HotpotStatus Status => HotpotStatus.Timeout;
}

/// <summary>The configuration of the silo or the client is not usable; the message names the setting.</summary>
[GenerateSerializer]
public sealed class HotpotConfigurationException(string message) : HotpotException(message)
{
    public override HotpotStatus Status => HotpotStatus.Configuration;
}
