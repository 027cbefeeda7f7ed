using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Hotpot.Cluster.Tests;

/// <summary>Whatever comes in from outside: a specific error in one sentence, nothing lost, and the silo lives.</summary>
public sealed class BadInputTests : IAsyncLifetime
{
    private TestCluster _cluster = null!;

    public async Task InitializeAsync() => _cluster = await TestCluster.StartAsync(2);

    public async Task DisposeAsync()
    {
        Assert.All(_cluster.Nodes, node => Assert.False(node.HasExited, node.Log));
        await _cluster.DisposeAsync();
    }

    [Fact]
    public async Task WrongRequestsGetTheirOwnErrors()
    {
        await Assert.ThrowsAsync<DatasetNotFoundException>(() => _cluster.Hotpot.OpenAsync("nobody"));
        await Assert.ThrowsAsync<InvalidDatasetNameException>(() => _cluster.CreateAsync("", 4096, 1));
        await Assert.ThrowsAsync<InvalidDatasetNameException>(() => _cluster.CreateAsync(new string('n', 256), 4096, 1));
        await Assert.ThrowsAnyAsync<HotpotException>(() => _cluster.CreateAsync("zero", 0, 1));
        await Assert.ThrowsAnyAsync<HotpotException>(() => _cluster.CreateAsync("huge", long.MaxValue, 1));
        await Assert.ThrowsAsync<DegreeException>(() => _cluster.CreateAsync("wide", 4096, 3));
        Dataset dataset = await _cluster.CreateAsync("small", 8192, 2);
        await Assert.ThrowsAsync<DatasetExistsException>(() => _cluster.CreateAsync("small", 4096, 1));
        await Assert.ThrowsAsync<RangeOutsideDatasetException>(() => dataset.ReadAsync(8000, 400));
        await Assert.ThrowsAsync<RangeOutsideDatasetException>(() => dataset.WriteAsync(-1, new byte[1]));
        await Assert.ThrowsAsync<NoSiloHereException>(() => dataset.CommitAsync());
        Assert.Throws<NoSiloHereException>(() => dataset.Map());

        byte[] bytes = Encoding.UTF8.GetBytes("still works");
        await dataset.WriteAsync(4090, bytes);
        Assert.Equal(bytes, await dataset.ReadAsync(4090, bytes.Length));
    }

    [Fact]
    public async Task ANodeWithAnotherClusterKeyCannotJoinTheDataPath()
    {
        string key = Path.Combine(_cluster.Root, "other-key");
        await File.WriteAllTextAsync(key, new string('a', 64));
        NodeProcess stranger = NodeProcess.Launch(_cluster.SettingsOf(9, ("ClusterKeyFile", key)));
        await _cluster.EventuallyAsync(
            async () => stranger.HasExited ||
                        (await _cluster.Grains.NodeGrain(_cluster.Nodes[0].Id).StatAsync()).Statistics.RefusedAuth > 0,
            "the stranger is refused");
        await stranger.DisposeAsync();
        Dataset dataset = await _cluster.RetryAsync(() => _cluster.CreateAsync("after-stranger", 4096, 2), "a dataset is created");
        await _cluster.RetryAsync(() => dataset.WriteAsync(0, new byte[] { 1 }), "a write succeeds");
    }

    [Fact]
    public async Task TheSameDataDirectoryTwiceIsRefused()
    {
        await using NodeProcess second = NodeProcess.Launch(_cluster.SettingsOf(0));
        await second.WaitForExitAsync();
        Assert.NotEqual(0, second.ExitCode);
        Assert.Contains("Another process uses the data directory", second.Log);
    }

    [Fact]
    public async Task GarbageOnTheFabricIsRefusedAndCounted()
    {
        NodeIdentity identity = await _cluster.Grains.NodeGrain(_cluster.Nodes[0].Id).GetIdentityAsync();
        IPEndPoint endpoint = IPEndPoint.Parse(identity.FabricAddress);
        Random random = new(11);
        for (int i = 0; i < 50; i++)
        {
            using Socket socket = new(SocketType.Stream, ProtocolType.Tcp);
            await socket.ConnectAsync(endpoint);
            byte[] garbage = new byte[random.Next(1, 5000)];
            random.NextBytes(garbage);
            try
            {
                await socket.SendAsync(garbage);
            }
            catch (SocketException refused) when (refused.SocketErrorCode is SocketError.ConnectionReset or SocketError.Shutdown)
            {
                continue;  // The silo had seen enough.
            }
        }
        await _cluster.EventuallyAsync(
            async () =>
            {
                EngineStatistics statistics = (await _cluster.Grains.NodeGrain(_cluster.Nodes[0].Id).StatAsync()).Statistics;
                return statistics.RefusedMalformed + statistics.RefusedAuth > 0;
            },
            "the garbage is counted");
        Dataset dataset = await _cluster.CreateAsync("after-garbage", 4096, 2);
        Assert.Equal(2, (await dataset.WriteAsync(0, new byte[] { 7 })).Degree);
    }
}
