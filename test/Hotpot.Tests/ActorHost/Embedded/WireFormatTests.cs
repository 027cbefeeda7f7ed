using System.Net.Sockets;
using System.Text;
using Hotpot.TestSilo;
using Microsoft.Extensions.DependencyInjection;

namespace Hotpot.Tests.ActorHost.Embedded;

/// <summary>The formats of docs/actor-host.md, byte by byte, written here without the code that they document.</summary>
public sealed class WireFormatTests : IAsyncLifetime
{
    private TestSilos? _silos;

    private TestSilos Silos => _silos!;

    public async Task InitializeAsync() => _silos = await TestSilos.StartAsync(1);

    public async Task DisposeAsync() => await Silos.DisposeAsync();

    [Fact]
    public async Task TheWorkedExampleIsAnsweredAsDocumented()
    {
        var silo = Silos.Services("silo-0").GetRequiredService<ILocalSiloDetails>().SiloAddress;
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(Path.Combine(Silos.Directory, "s", $"{silo.Endpoint.Port}-{silo.Generation}")));

        // Hello: magic, version, cluster and service "default", and no silo.
        await SendAsync(socket, [1, .. "HPA1"u8, 1, 0, 0, 0, 7, 0, .. "default"u8, 7, 0, .. "default"u8, 0, 0, 0, 0, 0, 0, 0, 0]);
        Assert.Equal([2], await ReceiveAsync(socket));

        byte[] request =
        [
            4, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0x30, 0x75, 0, 0,
            0x1c, 0, .. "Hotpot.TestSilo.IPlacedGrain"u8,
            0x0a, 0, .. "silo-0/doc"u8,
            0x59, 0x04, 0x5a, 0x04,
            3, 0, 0, 0, .. "[0]"u8,
            1, 0, 0, 0, 2, 0, 0, 0, 1, 2,
        ];
        Assert.Equal(0x4d, request.Length);
        await SendAsync(socket, request);
        byte[] reply =
        [
            5, 7, 0, 0, 0, 0, 0, 0, 0, 0,
            .. BitConverter.GetBytes(silo.Endpoint.Port), .. BitConverter.GetBytes(silo.Generation),
            1, 0, 0, 0, .. "0"u8,
            1, 0, 0, 0, 2, 0, 0, 0, 2, 1,
        ];
        Assert.Equal(reply, await ReceiveAsync(socket));
    }

    [Fact]
    public async Task AGrainRecordIsAsDocumented()
    {
        await Silos.Client.GetGrain<IStoredGrain>("doc").AddAsync(5);
        var path = Path.Combine(Silos.Directory, "storage", "test", "stored", "doc", "number.1");
        Assert.Equal("hotpot-grain-state 1 54c534c1 16\n{\n  \"Value\": 5\n}", await File.ReadAllTextAsync(path, Encoding.UTF8));
    }

    private static async Task SendAsync(Socket socket, byte[] frame) =>
        await socket.SendAsync((byte[])[.. BitConverter.GetBytes(frame.Length), .. frame]);

    private static async Task<byte[]> ReceiveAsync(Socket socket)
    {
        var frame = new byte[BitConverter.ToInt32(await ReceiveAsync(socket, 4))];
        return await ReceiveAsync(socket, frame.Length);
    }

    private static async Task<byte[]> ReceiveAsync(Socket socket, int length)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        var bytes = new byte[length];
        for (var have = 0; have < length;)
        {
            var received = await socket.ReceiveAsync(bytes.AsMemory(have), limit.Token);
            Assert.NotEqual(0, received);
            have += received;
        }

        return bytes;
    }
}
