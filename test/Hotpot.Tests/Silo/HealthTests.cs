using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using Hotpot.Grains;
using Hotpot.Grains.Commit;
using Hotpot.Grains.Node;
using Hotpot.Runtime;
using Hotpot.Silo;
using Hotpot.Tests.Clients;
using Hotpot.Tests.Runtime;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;

namespace Hotpot.Tests.Silo;

public sealed class HealthTests : IAsyncLifetime
{
    private readonly EngineFixture _fixture = new();
    private readonly SiloState _state = new();

    public Task InitializeAsync() => Task.CompletedTask;

    public async Task DisposeAsync() => await _fixture.DisposeAsync();

    [Fact]
    public void Phases_only_go_forward()
    {
        Assert.Equal(SiloPhase.Starting, _state.Phase);
        Assert.True(_state.MoveTo(SiloPhase.Draining));
        Assert.False(_state.MoveTo(SiloPhase.Ready));
        Assert.False(_state.MoveTo(SiloPhase.Draining));
        Assert.Equal(SiloPhase.Draining, _state.Phase);
    }

    [Fact]
    public async Task The_status_file_follows_the_silo()
    {
        Engine engine = _fixture.Start(Medium.Memory);
        TaskCompletionSource ready = new(TaskCreationOptions.RunContinuationsAsynchronously);
        using StatusReporter reporter = new(_state, engine, new FakeNode(engine) { Ready = ready.Task }, Options.Create(Settings()), NullLogger<StatusReporter>.Instance);
        await reporter.StartingAsync(CancellationToken.None);
        Assert.Equal("starting", ReadState());

        await reporter.StartedAsync(CancellationToken.None);
        Assert.Equal("starting", ReadState());
        ready.SetResult();
        await UntilAsync(() => _state.Phase == SiloPhase.Ready && ReadState() == "ready");

        await reporter.StoppingAsync(CancellationToken.None);
        Assert.Equal("draining", ReadState());
        await reporter.StoppedAsync(CancellationToken.None);
        Assert.Equal("stopped", ReadState());
        using JsonDocument document = ReadDocument();
        Assert.Equal(Environment.ProcessId, document.RootElement.GetProperty("pid").GetInt32());
        Assert.Equal(engine.NodeId.ToString(), document.RootElement.GetProperty("node").GetString());
    }

    [Fact]
    public async Task A_node_that_cannot_become_ready_says_so_and_still_stops()
    {
        Engine engine = _fixture.Start(Medium.Memory);
        FakeNode node = new(engine) { Ready = Task.FromException(new StorageException("It failed.")) };
        using StatusReporter reporter = new(_state, engine, node, Options.Create(Settings()), NullLogger<StatusReporter>.Instance);
        await reporter.StartedAsync(CancellationToken.None);
        await UntilAsync(() => _state.Phase == SiloPhase.Failed && ReadState() == "failed");
        await reporter.StoppingAsync(CancellationToken.None);
        await reporter.StoppedAsync(CancellationToken.None);
        Assert.Equal("failed", ReadState());
    }

    [Fact]
    public async Task Health_is_good_only_while_the_silo_is_ready()
    {
        Engine engine = _fixture.Start(Medium.Memory);
        HotpotOptions settings = Settings();
        settings.HealthAddress = $"127.0.0.1:{FreePort()}";
        using HealthListener listener = new(_state, engine, Options.Create(settings), NullLogger<HealthListener>.Instance);
        await listener.StartAsync(CancellationToken.None);
        using HttpClient http = new() { BaseAddress = new Uri($"http://{settings.HealthAddress}"), Timeout = EngineFixture.Patience };

        Assert.Equal(HttpStatusCode.ServiceUnavailable, await GetAsync(HealthListener.HealthPath));
        _state.MoveTo(SiloPhase.Ready);
        Assert.Equal(HttpStatusCode.OK, await GetAsync(HealthListener.HealthPath));
        Assert.Equal(HttpStatusCode.NotFound, await GetAsync("/"));
        using JsonDocument document = JsonDocument.Parse(await http.GetStringAsync(HealthListener.HealthPath));
        Assert.Equal("ready", document.RootElement.GetProperty("state").GetString());
        _state.MoveTo(SiloPhase.Draining);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, await GetAsync(HealthListener.HealthPath));
        await listener.StopAsync(CancellationToken.None).WaitAsync(EngineFixture.Patience);

        async Task<HttpStatusCode> GetAsync(string path)
        {
            using HttpResponseMessage response = await http.GetAsync(path);
            return response.StatusCode;
        }
    }

    private static int FreePort()
    {
        using TcpListener listener = new(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    // The reporter has no event for "written"; the file system is what its readers see too.
    private static async Task UntilAsync(Func<bool> condition)
    {
        using CancellationTokenSource patience = new(EngineFixture.Patience);
        while (!condition())
            await Task.Delay(5, patience.Token);
    }

    private HotpotOptions Settings() => new() { DataDirectory = _fixture.Directory, Medium = Medium.Memory };

    private JsonDocument ReadDocument() => JsonDocument.Parse(File.ReadAllBytes(Path.Combine(_fixture.Directory, StatusReporter.FileName)));

    private string? ReadState()
    {
        string path = Path.Combine(_fixture.Directory, StatusReporter.FileName);
        if (!File.Exists(path))
            return null;
        using JsonDocument document = ReadDocument();
        return document.RootElement.GetProperty("state").GetString();
    }
}
