using System.Text;
using Microsoft.Extensions.Configuration;

namespace Hotpot.Silo;

/// <summary>
/// The three spellings of a setting: DataDirectory in a file, HOTPOT_DATA_DIRECTORY in the environment, --data-directory on
/// the command line.
/// </summary>
internal static class SettingNames
{
    public const string EnvironmentPrefix = "HOTPOT_";

    /// <summary>Every property of <see cref="HotpotOptions"/>, in the order of its declaration.</summary>
    public static IReadOnlyList<string> All { get; } =
        [.. typeof(HotpotOptions).GetProperties().Where(property => property.CanWrite).Select(property => property.Name)];

    public static string Key(string property) => ConfigurationPath.Combine(HotpotOptions.Section, property);

    public static string Environment(string property) => EnvironmentPrefix + Words(property, '_').ToUpperInvariant();

    public static string Switch(string property) => "--" + Words(property, '-').ToLowerInvariant();

    /// <summary>A setting as an error message names it.</summary>
    public static string Explain(string property) => $"Setting {Key(property)} ({Switch(property)}, {Environment(property)})";

    // A word begins at a capital that follows a small letter or a digit: "DataDirectory" is two words.
    private static string Words(string property, char separator)
    {
        StringBuilder words = new();
        for (int i = 0; i < property.Length; i++)
        {
            if (i > 0 && char.IsUpper(property[i]) && !char.IsUpper(property[i - 1]))
                words.Append(separator);
            words.Append(property[i]);
        }
        return words.ToString();
    }
}
