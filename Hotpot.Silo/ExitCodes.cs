using Microsoft.Extensions.Options;

namespace Hotpot.Silo;

/// <summary>How the silo program ended, for whatever supervises it.</summary>
internal static class ExitCodes
{
    public const int Stopped = 0;
    public const int Failed = 1;
    public const int Usage = 2;
    public const int Unavailable = 4;
    public const int NodeInUse = 5;
    public const int DataDamaged = 6;
    public const int DrainTimedOut = 7;
    public const int Fenced = 8;

    public const string Help =
        "0 stopped and flushed, 1 failed, 2 wrong usage or configuration, 4 something it needs is not available, "
        + "5 the data directory is in use, 6 the data directory is damaged or of another version, 7 stopped, but not handed over in time, 8 the others had declared it dead.";

    /// <summary>Restarting helps against codes 1, 4, 7 and 8; the others need a person.</summary>
    public static int Of(Exception failure) => failure switch
    {
        OptionsValidationException or HotpotConfigurationException or InvalidRequestException or FormatException => Usage,
        NodeInUseException => NodeInUse,
        CorruptLogException or VersionMismatchException => DataDamaged,
        AggregateException { InnerException: { } inner } => Of(inner),
        OperationCanceledException => DrainTimedOut,
        StorageException or DiskFullException or TimeoutException or HotpotTimeoutException => Unavailable,
        _ => Failed,
    };
}
