using Microsoft.Extensions.Configuration;

namespace Hotpot.Silo;

/// <summary>
/// What the command line of the silo program says: settings as --name VALUE or --name=VALUE, any key of the configuration as
/// --Section:Key=VALUE, --file PATH and --help. Anything else is a <see cref="HotpotConfigurationException"/>, so that a
/// misspelt setting is not taken for its default.
/// </summary>
internal sealed record CommandLine(string? File, bool Help, IReadOnlyDictionary<string, string?> Settings)
{
    public static CommandLine Parse(IReadOnlyList<string> arguments)
    {
        Dictionary<string, string> switches = SettingNames.All.ToDictionary(SettingNames.Switch, SettingNames.Key, StringComparer.OrdinalIgnoreCase);
        Dictionary<string, string?> settings = new(StringComparer.OrdinalIgnoreCase);
        string? file = null;
        bool help = false;
        for (int i = 0; i < arguments.Count; i++)
        {
            string argument = arguments[i];
            int equals = argument.IndexOf('=');
            string name = equals < 0 ? argument : argument[..equals];
            if (name is "--help" or "-h" && equals < 0)
            {
                help = true;
                continue;
            }
            string? key = name == "--file" ? name
                : switches.TryGetValue(name, out string? known) ? known
                : name.StartsWith("--", StringComparison.Ordinal) && name.Contains(ConfigurationPath.KeyDelimiter) ? name[2..]
                : throw new HotpotConfigurationException($"The silo does not know '{name}'; --help lists what it knows.");
            string value = equals >= 0 ? argument[(equals + 1)..]
                : i + 1 < arguments.Count ? arguments[++i]
                : throw new HotpotConfigurationException($"'{name}' needs a value behind it.");
            if (key == name)
                file = value;
            else
                settings[key] = value;
        }
        return new CommandLine(file, help, settings);
    }

    public static string HelpText =>
        $"""
        Runs one Hotpot silo until it is told to stop with SIGTERM or Ctrl-C.

        Usage: Hotpot.Silo [--file FILE] [--SETTING VALUE]... [--Section:Key=VALUE]...

        Settings come from appsettings.json, then FILE (JSON), then the environment, then the command line; later ones win.
        docs/configuration.md explains them.

        {string.Join('\n', SettingNames.All.Select(property => $"  {SettingNames.Switch(property),-24} {SettingNames.Environment(property)}"))}

        Exit codes: {ExitCodes.Help}
        """;
}
