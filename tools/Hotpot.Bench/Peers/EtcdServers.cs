using System.Globalization;
using System.Net.Http.Json;
using System.Text.Json.Serialization;
using Hotpot.Bench.Harness;

namespace Hotpot.Bench.Peers;

/// <summary>Three members of an etcd cluster on loopback. Each put is flushed on a majority of them before it is answered.</summary>
internal sealed class EtcdServers : IAsyncDisposable
{
    private const int Members = 3;

    private static readonly TimeSpan s_startLimit = TimeSpan.FromSeconds(60);

    private readonly PeerFolder _folder;
    private readonly int[] _ports = FreePorts.Take(2 * Members);
    private readonly List<PeerProcess> _servers = [];

    private EtcdServers(PeerFolder folder) => _folder = folder;

    /// <summary>Of the leader, so that no put is forwarded; set by <see cref="StartAsync"/>.</summary>
    public string Endpoint { get; private set; } = "";

    /// <exception cref="PeerNotInstalledException">There is no etcd on this machine.</exception>
    public static async Task<EtcdServers> StartAsync(PeerMedium medium, Placement placement, CancellationToken cancellation)
    {
        var program = PeerPrograms.Find("etcd");
        var servers = new EtcdServers(new PeerFolder("etcd", medium));
        try
        {
            for (var member = 0; member < Members; member++)
                servers._servers.Add(PeerProcess.Start($"etcd {member}", placement, servers.Command(program, member), servers._folder.Inside($"etcd-{member}.log")));
            using var http = new HttpClient { Timeout = TimeSpan.FromSeconds(5) };
            await servers._servers[0].WaitUntilAsync("led", () => servers.FindLeaderAsync(http, cancellation), s_startLimit, cancellation);
            return servers;
        }
        catch
        {
            await servers.DisposeAsync();
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var server in _servers)
            await server.DisposeAsync();
        _folder.Dispose();
    }

    private string ClientUrl(int member) => string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{_ports[member]}");

    private string PeerUrl(int member) => string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{_ports[Members + member]}");

    private string[] Command(string program, int member) =>
    [
        program, "--name", $"m{member}", "--data-dir", _folder.Create($"member-{member}"),
        "--listen-client-urls", ClientUrl(member), "--advertise-client-urls", ClientUrl(member),
        "--listen-peer-urls", PeerUrl(member), "--initial-advertise-peer-urls", PeerUrl(member),
        "--initial-cluster", string.Join(',', Enumerable.Range(0, Members).Select(each => $"m{each}={PeerUrl(each)}")), "--initial-cluster-state", "new",
        "--logger", "zap", "--log-level", "warn",
    ];

    private async Task<bool> FindLeaderAsync(HttpClient http, CancellationToken cancellation)
    {
        for (var member = 0; member < Members; member++)
        {
            try
            {
                using var answer = await http.PostAsync($"{ClientUrl(member)}/v3/maintenance/status", new StringContent("{}"), cancellation);
                if (!answer.IsSuccessStatusCode)
                    return false;
                var status = await answer.Content.ReadFromJsonAsync<MemberStatus>(cancellation);
                if (status is { Leader: { } leader } && leader == status.Header.MemberId)
                    Endpoint = ClientUrl(member);
            }
            catch (Exception exception) when (exception is HttpRequestException or TaskCanceledException && !cancellation.IsCancellationRequested)
            {
                // It does not listen yet; the caller asks again, for a bounded time.
                return false;
            }
        }

        return Endpoint.Length > 0;
    }

    private sealed record MemberStatus(
        [property: JsonPropertyName("header")] MemberHeader Header, [property: JsonPropertyName("leader")] string? Leader);

    private sealed record MemberHeader([property: JsonPropertyName("member_id")] string MemberId);
}
