using System.Collections;
using Hotpot.Runtime;
using Hotpot.Silo;
using Hotpot.Tests.Runtime;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Options;

namespace Hotpot.Tests.Silo;

public sealed class SettingsTests : IDisposable
{
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("hotpot-test-");

    public void Dispose() => _directory.Delete(recursive: true);

    [Theory]
    [InlineData("DataDirectory", "HOTPOT_DATA_DIRECTORY", "--data-directory")]
    [InlineData("AdoNetInvariant", "HOTPOT_ADO_NET_INVARIANT", "--ado-net-invariant")]
    [InlineData("Spin", "HOTPOT_SPIN", "--spin")]
    public void A_setting_has_three_spellings(string property, string variable, string option)
    {
        Assert.Contains(property, SettingNames.All);
        Assert.Equal(variable, SettingNames.Environment(property));
        Assert.Equal(option, SettingNames.Switch(property));
    }

    [Fact]
    public void Every_setting_is_documented_and_offered()
    {
        string documentation = File.ReadAllText(Path.Combine(Repository.Root(), "docs", "configuration.md"));
        Assert.All(SettingNames.All, property =>
        {
            Assert.Contains($"`{property}`", documentation);
            Assert.Contains(SettingNames.Switch(property) + " ", CommandLine.HelpText);
        });
    }

    [Fact]
    public void The_command_line_wins_over_the_environment()
    {
        Hashtable variables = new() { ["HOTPOT_MEDIUM"] = "Pmem", ["HOTPOT_SPIN"] = "00:00:00.000050", ["HOTPOT_SILO_DLL"] = "not a setting" };
        CommandLine commandLine = CommandLine.Parse(["--medium", "memory", "--Hotpot:ReadAheadPages=7", "--front-budget", "16777216", "--file=silo.json"]);
        IReadOnlyDictionary<string, string?> environment = HotpotEnvironment.Read(variables);
        HotpotOptions options = new();
        new ConfigurationBuilder().AddInMemoryCollection(environment).AddInMemoryCollection(commandLine.Settings).Build()
            .GetSection(HotpotOptions.Section).Bind(options);

        Assert.Equal(Medium.Memory, options.Medium);
        Assert.Equal(TimeSpan.FromMicroseconds(50), options.Spin);
        Assert.Equal(7, options.ReadAheadPages);
        Assert.Equal(16 << 20, options.FrontBudget);
        Assert.Equal("silo.json", commandLine.File);
        Assert.Equal(2, environment.Count);
    }

    [Theory]
    [InlineData("--data-dir", "x")]
    [InlineData("data-directory", "x")]
    [InlineData("--data-directory")]
    [InlineData("-x", "y")]
    public void What_is_not_known_is_refused_and_not_ignored(params string[] arguments) =>
        Assert.Throws<HotpotConfigurationException>(() => CommandLine.Parse(arguments));

    [Fact]
    public void A_complete_configuration_is_accepted_and_reaches_the_engine()
    {
        HotpotOptions options = Valid();
        Assert.True(Validate(options).Succeeded);
        EngineSettings settings = options.ToEngineSettings();
        Assert.Equal(_directory.FullName, settings.DataDirectory);
        Assert.Equal("sixteen bytes ok"u8.ToArray(), settings.ClusterKey.ToArray());
        Assert.Equal(TimeSpan.FromSeconds(30), settings.MissTimeout);
        Assert.Null(settings.CrashAt);
    }

    [Fact]
    public void White_space_around_a_key_in_a_file_is_not_part_of_it()
    {
        string file = Path.Combine(_directory.FullName, "key");
        File.WriteAllText(file, "sixteen bytes ok\n");
        HotpotOptions options = Valid();
        (options.ClusterKey, options.ClusterKeyFile) = (null, file);
        Assert.True(Validate(options).Succeeded);
        Assert.Equal("sixteen bytes ok"u8.ToArray(), options.ReadClusterKey());
    }

    public static TheoryData<string, Action<HotpotOptions>> Mistakes => new()
    {
        { "DataDirectory", options => options.DataDirectory = " " },
        { "Medium", options => options.Medium = (Medium)7 },
        { "BindAddress", options => options.BindAddress = "localhost" },
        { "HealthAddress", options => options.HealthAddress = "8080x" },
        { "BaseRegion", options => options.BaseRegion = "0x1000-0x1001" },
        { "MissTimeout", options => options.MissTimeout = TimeSpan.Zero },
        { "DrainTimeout", options => options.DrainTimeout = TimeSpan.FromSeconds(-1) },
        { "MigrationInterval", options => options.MigrationInterval = TimeSpan.FromSeconds(-1) },
        { "MigrationMinimumPages", options => options.MigrationMinimumPages = 0 },
        { "Spin", options => options.Spin = TimeSpan.FromSeconds(2) },
        { "ReadAheadPages", options => options.ReadAheadPages = 0 },
        { "LogSegmentBytes", options => options.LogSegmentBytes = 1 << 20 },
        { "CheckpointLogBytes", options => options.CheckpointLogBytes = 1 },
        { "LogLimitBytes", options => options.LogLimitBytes = options.CheckpointLogBytes },
        { "FrontBudget", options => options.FrontBudget = 4096 },
        { "ConnectionString", options => options.Clustering = ClusteringKind.AdoNet },
        { "AdvertisedAddress", options => options.AdvertisedAddress = "my-host" },
        { "ClusterKey", options => options.ClusterKey = null },
        { "ClusterKeyFile", options => options.ClusterKeyFile = "both" },
        { "ClusterKeyFile", options => (options.ClusterKey, options.ClusterKeyFile) = (null, "/nonexistent/key") },
        { "cluster key", options => options.ClusterKey = "short" },
        { "cluster key", options => options.ClusterKey = new string('k', 65) },
    };

    [Theory]
    [MemberData(nameof(Mistakes))]
    public void A_mistake_is_named(string what, Action<HotpotOptions> mistake)
    {
        HotpotOptions options = Valid();
        mistake(options);
        ValidateOptionsResult result = Validate(options);
        Assert.Contains(what, Assert.Single(result.Failures!));
    }

    [Theory]
    [InlineData("0x100000000000-0x500000000000", true)]
    [InlineData("0x1000 - 0x2000", true)]
    [InlineData("0x0-0x1000", false)]
    [InlineData("0x2000-0x1000", false)]
    [InlineData("0x1000-0x800000001000", false)]
    [InlineData("4096-8192", false)]
    [InlineData("", false)]
    public void A_region_is_two_page_aligned_addresses(string text, bool valid) =>
        Assert.Equal(valid, AddressRegion.TryParse(text, out _));

    [Theory]
    [InlineData(typeof(NodeInUseException), 5)]
    [InlineData(typeof(CorruptLogException), 6)]
    [InlineData(typeof(VersionMismatchException), 6)]
    [InlineData(typeof(DiskFullException), 4)]
    [InlineData(typeof(HotpotConfigurationException), 2)]
    [InlineData(typeof(HotpotException), 1)]
    public void A_supervisor_learns_from_the_exit_code_whether_to_restart(Type failure, int code) =>
        Assert.Equal(code, ExitCodes.Of((Exception)Activator.CreateInstance(failure, "It failed.")!));

    private static ValidateOptionsResult Validate(HotpotOptions options) => new HotpotOptionsValidator().Validate(null, options);

    private HotpotOptions Valid() => new() { DataDirectory = _directory.FullName, ClusterKey = "sixteen bytes ok" };
}
