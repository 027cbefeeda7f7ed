using System.Net.Sockets;
using Hotpot.TestSilo;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace Hotpot.Tests.ActorHost.Embedded;

/// <summary>What only the embedded host promises: its sockets, its files, and what it does with bad ones.</summary>
public sealed class EmbeddedHostTests : IAsyncLifetime
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private TestSilos? _silos;

    private TestSilos Silos => _silos!;

    public async Task InitializeAsync() => _silos = await TestSilos.StartAsync(1);

    public async Task DisposeAsync() => await Silos.DisposeAsync();

    /// <summary>Each begins with the length of the frame, little endian, and its kind.</summary>
    public static TheoryData<string, byte[]> Garbage => new()
    {
        { "text", "GET / HTTP/1.1\r\n\r\n"u8.ToArray() },
        { "a length beyond all bounds", [0xff, 0xff, 0xff, 0x7f, 1] },
        { "a negative length", [0, 0, 0, 0x80, 1] },
        { "length zero", [0, 0, 0, 0] },
        { "a greeting that is too long", [0, 0, 1, 0, 1] },
        { "an empty greeting", [1, 0, 0, 0, 1] },
        { "a greeting with a wrong magic", [9, 0, 0, 0, 1, 1, 2, 3, 4, 1, 0, 0, 0] },
        { "a greeting of another version", [9, 0, 0, 0, 1, 0x48, 0x50, 0x41, 0x31, 99, 0, 0, 0] },
        { "a request before the greeting", [9, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 0, 0] },
        { "an unknown kind", [1, 0, 0, 0, 200] },
    };

    [Theory]
    [MemberData(nameof(Garbage))]
    public async Task GarbageClosesTheConnectionAndNothingElse(string what, byte[] bytes)
    {
        Assert.NotEmpty(what);
        using var socket = await ConnectAsync();
        await socket.SendAsync(bytes);
        await AssertClosedAsync(socket);
        Assert.Equal("silo-0", await Silos.Client.GetGrain<IPlacedGrain>("silo-0/fine").WhereAsync());
    }

    [Fact]
    public async Task GarbageAfterTheGreetingClosesTheConnectionAndNothingElse()
    {
        var random = new Random(20260101);
        for (var round = 0; round < 50; round++)
        {
            using var socket = await ConnectAsync();
            using (var hello = Handshake.WriteHello(new Handshake.Hello("default", "default", null)))
                await socket.SendAsync(hello.Finish().ToArray());
            var welcome = new byte[5];
            await socket.ReceiveAsync(welcome);
            Assert.Equal((byte)FrameKind.Welcome, welcome[4]);

            // A well-formed length and a plausible kind, so that the parsers behind them are what is tried.
            var frame = new byte[random.Next(1, 200)];
            random.NextBytes(frame);
            frame[0] = (byte)(round % 2 == 0 ? FrameKind.Request : FrameKind.System);
            await socket.SendAsync(BitConverter.GetBytes(frame.Length));
            await socket.SendAsync(frame);
            await AssertClosedAsync(socket);
        }

        Assert.Equal("silo-0", await Silos.Client.GetGrain<IPlacedGrain>("silo-0/fine").WhereAsync());
    }

    [Fact]
    public async Task AClientOfAnotherClusterIsTurnedAway()
    {
        var builder = Host.CreateEmptyApplicationBuilder(null);
        builder.UseOrleansClient(client => client.UseEmbeddedClustering(Silos.Directory).Configure<ClusterOptions>(options => options.ClusterId = "another"));
        using var host = builder.Build();
        var refused = await Assert.ThrowsAsync<OrleansConfigurationException>(() => host.StartAsync());
        Assert.Contains("give each cluster its own directory", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task AClientWithoutASiloIsToldSo()
    {
        var builder = Host.CreateEmptyApplicationBuilder(null);
        var empty = Path.Combine(Silos.Directory, "empty");
        builder.UseOrleansClient(client => client
            .UseEmbeddedClustering(empty)
            .Configure<ClientMessagingOptions>(options => options.ResponseTimeout = TimeSpan.FromMilliseconds(200)));
        using var host = builder.Build();
        var refused = await Assert.ThrowsAsync<SiloUnavailableException>(() => host.StartAsync());
        Assert.Contains(empty, refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task ADirectoryTooDeepForSocketsIsNamed()
    {
        var builder = Host.CreateEmptyApplicationBuilder(null);
        var deep = Path.Combine(Silos.Directory, new string('x', 100));
        builder.UseOrleans(silo => silo.UseEmbeddedClustering(deep));
        using var host = builder.Build();
        var refused = await Assert.ThrowsAsync<OrleansConfigurationException>(() => host.StartAsync());
        Assert.Contains(deep, refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task OfTwoWritersOfOneRecordOneWins()
    {
        var storage = Storage;
        var grain = GrainId.Create("stored", "contended");
        var etag = await storage.WriteAsync("number", grain, null, new StoredNumber { Value = 1 }, default);
        var writers = Enumerable.Range(0, 8).Select(i => storage.WriteAsync("number", grain, etag, new StoredNumber { Value = 10 + i }, default)).ToList();
        var outcomes = await Task.WhenAll(writers.Select(async writer =>
        {
            try
            {
                return await writer;
            }
            catch (InconsistentStateException exception)
            {
                Assert.Equal(etag, exception.CurrentEtag);
                return null;
            }
        }));
        var winner = Assert.Single(outcomes, outcome => outcome is not null);
        var (stored, state) = await storage.ReadAsync<StoredNumber>("number", grain, default);
        Assert.Equal(winner, stored);
        Assert.Equal(10 + Array.IndexOf(outcomes, winner), state!.Value);
    }

    [Fact]
    public async Task AGrainWhoseRecordWasChangedByOthersFailsOnceAndStartsAfresh()
    {
        var grain = Silos.Client.GetGrain<IStoredGrain>("overtaken");
        Assert.Equal(1, await grain.AddAsync(1));
        await Storage.WriteAsync("number", GrainId.Create("stored", "overtaken"), await grain.EtagAsync(), new StoredNumber { Value = 100 }, default);
        await Assert.ThrowsAsync<InconsistentStateException>(() => grain.AddAsync(1));
        Assert.Equal(101, await grain.AddAsync(1).WaitAsync(Patience));
    }

    [Theory]
    [InlineData(0, "its first line")]
    [InlineData(-3, "its checksum")]
    public async Task ADamagedRecordIsNamed(int at, string complaint)
    {
        var grain = Silos.Client.GetGrain<IStoredGrain>("damaged");
        await grain.AddAsync(1);
        await grain.DeactivateAsync();
        var path = Storage.PathOf("number", GrainId.Create("stored", "damaged"));
        var content = await File.ReadAllBytesAsync(path);
        content[at < 0 ? content.Length + at : at] ^= 1;
        await File.WriteAllBytesAsync(path, content);
        OrleansException? thrown = null;
        using var limit = new CancellationTokenSource(Patience);
        while (thrown is null && !limit.IsCancellationRequested)
        {
            try
            {
                // The old activation may still answer this one.
                await grain.EtagAsync();
            }
            catch (OrleansException exception)
            {
                thrown = exception;
            }
        }

        Assert.NotNull(thrown);
        Assert.Contains(path, thrown.Message, StringComparison.Ordinal);
        Assert.Contains(complaint, thrown.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("plain")]
    [InlineData("with/slash and ../dots")]
    [InlineData("..")]
    [InlineData("umlauts-äöü")]
    public async Task AnyKeyIsARecordInsideTheStorage(string key)
    {
        var grain = Silos.Client.GetGrain<IStoredGrain>(key);
        Assert.Equal(1, await grain.AddAsync(1));
        var path = Path.GetFullPath(Storage.PathOf("number", GrainId.Create("stored", key)));
        Assert.StartsWith(Path.Combine(Silos.Directory, "storage", "test", "stored") + "/", path, StringComparison.Ordinal);
        Assert.True(File.Exists(path));
    }

    [Fact]
    public async Task LongKeysGetFilesOfTheirOwn()
    {
        var left = new string('k', 1000) + "1";
        var right = new string('k', 1000) + "2";
        Assert.Equal(1, await Silos.Client.GetGrain<IStoredGrain>(left).AddAsync(1));
        Assert.Equal(2, await Silos.Client.GetGrain<IStoredGrain>(right).AddAsync(2));
        Assert.NotEqual(Storage.PathOf("number", GrainId.Create("stored", left)), Storage.PathOf("number", GrainId.Create("stored", right)));
    }

    [Fact]
    public async Task AMessageThatIsTooLargeIsRefusedToItsCallerOnly()
    {
        await using var two = await TestSilos.StartAsync(2);
        var grain = two.Client.GetGrain<IPlacedGrain>("silo-1/large");
        var refused = await Assert.ThrowsAsync<OrleansException>(() => grain.ReverseAsync(new byte[Frame.MaxBytes]));
        Assert.Contains("pass less at a time", refused.Message, StringComparison.Ordinal);
        Assert.Equal("silo-1", await grain.WhereAsync());
    }

    [Fact]
    public async Task AnExceptionWithoutTheMarkArrivesWithItsNameAndMessage()
    {
        await using var two = await TestSilos.StartAsync(2);
        var thrown = await Assert.ThrowsAsync<OrleansException>(() => two.Client.GetGrain<IPlacedGrain>("silo-1/throws").ThrowAsync("unmarked"));
        Assert.Contains(nameof(UnmarkedException), thrown.Message, StringComparison.Ordinal);
        Assert.Contains("Nobody knows me.", thrown.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task ARestartedSiloKeepsItsEndpointAndRaisesItsGeneration()
    {
        var before = Silos.Services("silo-0").GetRequiredService<ILocalSiloDetails>().SiloAddress;
        await Silos.StopAsync("silo-0");
        var host = await Silos.AddAsync("silo-0");
        var after = host.Services.GetRequiredService<ILocalSiloDetails>().SiloAddress;
        Assert.True(after.IsSuccessorOf(before));
        Assert.Equal(SiloStatus.Dead, host.Services.GetRequiredService<IClusterMembershipService>().CurrentSnapshot.GetSiloStatus(before));
    }

    [Fact]
    public async Task ASiloThatIsToldDeadFencesItself()
    {
        await using var two = await TestSilos.StartAsync(2);
        var victim = two.Services("silo-1").GetRequiredService<ILocalSiloDetails>().SiloAddress;
        var stopping = two.Services("silo-1").GetRequiredService<IHostApplicationLifetime>().ApplicationStopping;
        var stopped = new TaskCompletionSource();
        using var registration = stopping.Register(stopped.SetResult);
        Assert.True(await two.Services("silo-0").GetRequiredService<IClusterMembershipService>().TryKill(victim));
        await stopped.Task.WaitAsync(Patience);
        var orphan = two.Services("silo-1").GetRequiredService<IGrainFactory>().GetGrain<IPlacedGrain>("silo-1/orphan");
        await Assert.ThrowsAsync<SiloUnavailableException>(() => orphan.WhereAsync().WaitAsync(Patience));
    }

    [Fact]
    public async Task SilosThatJoinAtOnceGetDifferentAddresses()
    {
        var directory = new ClusterDirectory(Path.Combine(Silos.Directory, "joins"));
        var joins = await Task.WhenAll(Enumerable.Range(0, 8).Select(i => Task.Run(() => new MembershipTable(directory, "c", "s").Join($"silo-{i}"))));
        var image = new MembershipTable(directory, "c", "s").Read();
        Assert.Equal(8, image.Rows.Select(row => row.Number).Distinct().Count());
        Assert.Equal(8, image.Rows.Select(row => row.Generation).Distinct().Count());
        Assert.Equal(8, image.Version);
        Assert.All(joins, join => Assert.True(FileLock.IsHeld(directory.LifeLock(join.Row.ToAddress()))));
        foreach (var join in joins)
            join.Life.Dispose();
        Assert.All(joins, join => Assert.False(FileLock.IsHeld(directory.LifeLock(join.Row.ToAddress()))));
    }

    [Fact]
    public async Task AWriterThatSleptThroughLaterVersionsLoses()
    {
        var grain = GrainId.Create("stored", "slept");
        string? etag = null;
        for (var i = 0; i < 5; i++)
            etag = await Storage.WriteAsync("number", grain, etag, new StoredNumber { Value = i }, default);
        foreach (var stale in new[] { null, "1", "2", "4", "nonsense" })
            await Assert.ThrowsAsync<InconsistentStateException>(() => Storage.WriteAsync("number", grain, stale, new StoredNumber { Value = -1 }, default));
        var (stored, state) = await Storage.ReadAsync<StoredNumber>("number", grain, default);
        Assert.Equal(etag, stored);
        Assert.Equal(4, state!.Value);
        await Storage.ClearAsync("number", grain, etag, default);
        Assert.Null((await Storage.ReadAsync<StoredNumber>("number", grain, default)).Etag);
        await Assert.ThrowsAsync<InconsistentStateException>(() => Storage.WriteAsync("number", grain, etag, new StoredNumber(), default));
        Assert.NotNull(await Storage.WriteAsync("number", grain, null, new StoredNumber(), default));
    }

    private EmbeddedGrainStorage Storage => Silos.Services("silo-0").GetRequiredKeyedService<EmbeddedGrainStorage>("test");

    private async Task<Socket> ConnectAsync()
    {
        var address = Silos.Services("silo-0").GetRequiredService<ILocalSiloDetails>().SiloAddress;
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(new ClusterDirectory(Silos.Directory).CallSocket(address)));
        return socket;
    }

    private static async Task AssertClosedAsync(Socket socket)
    {
        using var limit = new CancellationTokenSource(Patience);
        var answer = new byte[4096];
        try
        {
            while (await socket.ReceiveAsync(answer, limit.Token) > 0)
            {
                // A refusal may come first; what counts is that the end follows.
            }
        }
        catch (SocketException exception) when (exception.SocketErrorCode is SocketError.ConnectionReset or SocketError.Shutdown)
        {
            // The peer closed while bytes of ours were unread, which is an end too.
        }
    }
}
