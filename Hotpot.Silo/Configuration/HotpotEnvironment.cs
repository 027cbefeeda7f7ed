using System.Collections;
using Microsoft.Extensions.Configuration;

namespace Hotpot.Silo;

/// <summary>The variables HOTPOT_... as settings. Variables of other names that begin so, such as those of the scripts, are not settings.</summary>
internal static class HotpotEnvironment
{
    public static IReadOnlyDictionary<string, string?> Read(IDictionary variables)
    {
        Dictionary<string, string?> settings = new(StringComparer.OrdinalIgnoreCase);
        foreach (string property in SettingNames.All)
        {
            if (variables[SettingNames.Environment(property)] is string value)
                settings[SettingNames.Key(property)] = value;
        }
        return settings;
    }

    public static IConfigurationBuilder AddHotpotEnvironment(this IConfigurationBuilder builder) =>
        builder.AddInMemoryCollection(Read(Environment.GetEnvironmentVariables()));
}
