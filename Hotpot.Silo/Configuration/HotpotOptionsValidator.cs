using System.Net;
using System.Text;
using Microsoft.Extensions.Options;

namespace Hotpot.Silo;

/// <summary>Finds every setting that cannot work, before anything is started.</summary>
internal sealed class HotpotOptionsValidator : IValidateOptions<HotpotOptions>
{
    // The largest transaction (32 MiB) and its framing must fit one segment of the log.
    private const long SmallestLogSegment = 48L << 20;

    public ValidateOptionsResult Validate(string? name, HotpotOptions options)
    {
        List<string> failures = [.. Failures(options)];
        return failures.Count == 0 ? ValidateOptionsResult.Success : ValidateOptionsResult.Fail(failures);
    }

    private static IEnumerable<string> Failures(HotpotOptions options)
    {
        if (string.IsNullOrWhiteSpace(options.DataDirectory))
            yield return $"{SettingNames.Explain(nameof(options.DataDirectory))} is missing; name the directory in which this node keeps its data.";
        if (!Enum.IsDefined(options.Medium))
            yield return $"{SettingNames.Explain(nameof(options.Medium))} is not known; choose Pmem, File or Memory.";
        if (!IPEndPoint.TryParse(options.BindAddress, out _))
            yield return $"{SettingNames.Explain(nameof(options.BindAddress))} is '{options.BindAddress}', which is not ip:port; write for example 10.0.0.1:7000.";
        if (!string.IsNullOrEmpty(options.HealthAddress) && !IPEndPoint.TryParse(options.HealthAddress, out _))
            yield return $"{SettingNames.Explain(nameof(options.HealthAddress))} is '{options.HealthAddress}', which is not ip:port; write for example 127.0.0.1:8080.";
        if (!string.IsNullOrEmpty(options.BaseRegion) && !AddressRegion.TryParse(options.BaseRegion, out _))
            yield return $"{SettingNames.Explain(nameof(options.BaseRegion))} is '{options.BaseRegion}'; write two page-aligned addresses below 2^47 as 0xSTART-0xEND.";
        if (options.MissTimeout <= TimeSpan.Zero)
            yield return $"{SettingNames.Explain(nameof(options.MissTimeout))} must be longer than zero; 30 seconds is usual.";
        if (options.DrainTimeout <= TimeSpan.Zero)
            yield return $"{SettingNames.Explain(nameof(options.DrainTimeout))} must be longer than zero; 30 seconds is usual.";
        if (options.MigrationInterval < TimeSpan.Zero || options.MigrationInterval > TimeSpan.FromDays(1))
            yield return $"{SettingNames.Explain(nameof(options.MigrationInterval))} must be from zero (never) to one day; 5 seconds are usual.";
        if (options.MigrationMinimumPages < 1)
            yield return $"{SettingNames.Explain(nameof(options.MigrationMinimumPages))} must be at least 1; 1000 is usual.";
        if (options.Spin < TimeSpan.Zero || options.Spin > TimeSpan.FromSeconds(1))
            yield return $"{SettingNames.Explain(nameof(options.Spin))} must be from zero to one second; a few microseconds are usual.";
        if (options.ReadAheadPages is < 1 or > 1024)
            yield return $"{SettingNames.Explain(nameof(options.ReadAheadPages))} must be from 1 to 1024.";
        if (options.LogSegmentBytes < SmallestLogSegment)
            yield return $"{SettingNames.Explain(nameof(options.LogSegmentBytes))} must be at least {SmallestLogSegment}, so that the largest transaction fits.";
        if (options.CheckpointLogBytes < options.LogSegmentBytes)
            yield return $"{SettingNames.Explain(nameof(options.CheckpointLogBytes))} must be at least the size of one log segment ({options.LogSegmentBytes}).";
        if (options.LogLimitBytes is { } logLimit && logLimit < Math.Max(Limits.MinLogLimit, 2 * options.CheckpointLogBytes))
            yield return $"{SettingNames.Explain(nameof(options.LogLimitBytes))} must be at least {Limits.MinLogLimit} and twice the size at which the log is checkpointed ({options.CheckpointLogBytes}).";
        if (options.FrontBudget is < Limits.MinFrontBudget)
            yield return $"{SettingNames.Explain(nameof(options.FrontBudget))} must be at least {Limits.MinFrontBudget}; leave it out to keep every page.";
        if (options.Clustering == ClusteringKind.AdoNet && string.IsNullOrEmpty(options.ConnectionString))
            yield return $"{SettingNames.Explain(nameof(options.ConnectionString))} is missing; AdoNet clustering needs the database's connection string.";
        if (!string.IsNullOrEmpty(options.AdvertisedAddress) && !IPAddress.TryParse(options.AdvertisedAddress, out _))
            yield return $"{SettingNames.Explain(nameof(options.AdvertisedAddress))} is '{options.AdvertisedAddress}', which is not an IP address.";
        if (KeyFailure(options) is { } keyFailure)
            yield return keyFailure;
    }

    private static string? KeyFailure(HotpotOptions options)
    {
        if (string.IsNullOrEmpty(options.ClusterKey) == string.IsNullOrEmpty(options.ClusterKeyFile))
            return $"{SettingNames.Explain(nameof(options.ClusterKey))} or {SettingNames.Key(nameof(options.ClusterKeyFile))} ({SettingNames.Switch(nameof(options.ClusterKeyFile))}) is needed, and not both; all nodes need the same key.";
        byte[] key;
        try
        {
            key = options.ReadClusterKey();
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            return $"{SettingNames.Explain(nameof(options.ClusterKeyFile))} cannot be read: {failure.Message}";
        }
        return key.Length is < Limits.MinClusterKeyBytes or > Limits.MaxClusterKeyBytes
            ? $"The cluster key has {key.Length} bytes; it must have {Limits.MinClusterKeyBytes} to {Limits.MaxClusterKeyBytes}."
            : null;
    }
}

internal static class HotpotOptionsExtensions
{
    /// <summary>The key is the text itself, not what a hexadecimal or base64 text would stand for.</summary>
    public static byte[] ReadClusterKey(this HotpotOptions options) =>
        Encoding.UTF8.GetBytes(string.IsNullOrEmpty(options.ClusterKeyFile) ? options.ClusterKey! : File.ReadAllText(options.ClusterKeyFile).Trim());

    public static EngineSettings ToEngineSettings(this HotpotOptions options) => new()
    {
        DataDirectory = Path.GetFullPath(options.DataDirectory),
        Medium = options.Medium,
        BindAddress = options.BindAddress,
        Transports = string.IsNullOrEmpty(options.Transports) ? null : options.Transports,
        ClusterKey = options.ReadClusterKey(),
        MissTimeout = options.MissTimeout,
        LogSegmentBytes = options.LogSegmentBytes,
        CheckpointLogBytes = options.CheckpointLogBytes,
        Spin = options.Spin,
        ReadAheadPages = options.ReadAheadPages,
        LogLimitBytes = options.LogLimitBytes,
        FrontBudget = options.FrontBudget,
        UseUserfaultfd = options.Userfaultfd,
        UsePagemapScan = options.PagemapScan,
        CrashAt = string.IsNullOrEmpty(options.CrashAt) ? null : options.CrashAt,
    };
}
