using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;

namespace Hotpot.Chaos.Faults;

/// <summary>
/// A network of the run's own: each node lives in a network namespace, and its only way out is a virtual cable to a bridge. Pulling the cable on the bridge's side
/// cuts the node's data path off, without an error that a process could see at once. The actor host calls over Unix sockets and is not affected.
/// </summary>
/// <remarks>
/// The addresses are of the range that is set aside for measurements between networks (198.18.0.0/15); neither the bridge nor this machine has one, so nothing of it
/// is reachable from outside.
/// </remarks>
internal sealed class ClusterNetwork : IAsyncDisposable
{
    // The names of interfaces have at most 15 characters.
    private readonly string _prefix = $"hpc{Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(3))}";
    private readonly int _nodes;

    private ClusterNetwork(int nodes) => _nodes = nodes;

    private string Bridge => $"{_prefix}b";

    /// <summary>The network, or why there is none.</summary>
    public static async Task<(ClusterNetwork? Network, string? Reason)> TryCreateAsync(int nodes)
    {
        var network = new ClusterNetwork(nodes);
        try
        {
            await network.CreateAsync().ConfigureAwait(false);
            return (network, null);
        }
        catch (LocalClusterException failure)
        {
            await network.DisposeAsync().ConfigureAwait(false);
            return (null, failure.Message);
        }
    }

    public string AddressOf(int node) => string.Create(CultureInfo.InvariantCulture, $"198.18.0.{node + 1}");

    /// <summary>What a command line is put behind to run in the node's namespace; ip replaces itself by it.</summary>
    public IReadOnlyList<string> LauncherOf(int node) => ["ip", "netns", "exec", Namespace(node)];

    public Task CutAsync(int node) => IpAsync("link", "set", Cable(node), "down");

    public Task HealAsync(int node) => IpAsync("link", "set", Cable(node), "up");

    public async ValueTask DisposeAsync()
    {
        // The end of a namespace ends the cable in it, on both sides, and what was never made cannot be removed.
        for (var node = 0; node < _nodes; node++)
            await TryIpAsync("netns", "delete", Namespace(node)).ConfigureAwait(false);
        await TryIpAsync("link", "delete", Bridge).ConfigureAwait(false);
    }

    private async Task CreateAsync()
    {
        await IpAsync("link", "add", Bridge, "type", "bridge").ConfigureAwait(false);
        await IpAsync("link", "set", Bridge, "up").ConfigureAwait(false);
        for (var node = 0; node < _nodes; node++)
        {
            await IpAsync("netns", "add", Namespace(node)).ConfigureAwait(false);
            await IpAsync("link", "add", Cable(node), "type", "veth", "peer", "name", "eth0", "netns", Namespace(node)).ConfigureAwait(false);
            await IpAsync("link", "set", Cable(node), "master", Bridge).ConfigureAwait(false);
            await IpAsync("-n", Namespace(node), "address", "add", $"{AddressOf(node)}/24", "dev", "eth0").ConfigureAwait(false);
            await IpAsync("-n", Namespace(node), "link", "set", "eth0", "up").ConfigureAwait(false);
            await IpAsync("-n", Namespace(node), "link", "set", "lo", "up").ConfigureAwait(false);
            await HealAsync(node).ConfigureAwait(false);
        }
    }

    private string Namespace(int node) => string.Create(CultureInfo.InvariantCulture, $"{_prefix}-{node}");

    private string Cable(int node) => string.Create(CultureInfo.InvariantCulture, $"{_prefix}v{node}");

    private static async Task IpAsync(params string[] arguments)
    {
        if (await TryIpAsync(arguments).ConfigureAwait(false) is { } failure)
            throw new LocalClusterException(failure);
    }

    /// <summary>Null when it was done, else why not.</summary>
    private static async Task<string?> TryIpAsync(params string[] arguments)
    {
        try
        {
            using var process = Process.Start(new ProcessStartInfo("ip", arguments) { RedirectStandardError = true, RedirectStandardOutput = true })!;
            var error = await process.StandardError.ReadToEndAsync().ConfigureAwait(false);
            await process.WaitForExitAsync().ConfigureAwait(false);
            return process.ExitCode == 0 ? null : $"ip {string.Join(' ', arguments)}: {error.Trim()}";
        }
        catch (System.ComponentModel.Win32Exception failure)
        {
            return $"ip {string.Join(' ', arguments)}: {failure.Message}";
        }
    }
}
