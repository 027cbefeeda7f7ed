using System.Collections.Concurrent;
using System.Diagnostics;
using System.Diagnostics.Metrics;
using Hotpot.Runtime;
using Hotpot.Runtime.Diagnostics;

namespace Hotpot.Tests.Runtime;

public sealed class DiagnosticsTests
{
    [Fact]
    public async Task The_meter_shows_the_engine_s_figures_until_it_stops()
    {
        await using EngineFixture fixture = new();
        Engine engine = fixture.Start();
        DatasetDescription dataset = EngineFixture.Describe();
        EngineFixture.OpenOwned(engine, dataset);
        await EngineFixture.WriteAsync(engine, dataset.Id, 0, [1, 2, 3]);

        ConcurrentDictionary<string, long> seen = Collect(engine.NodeId);
        Assert.Equal(1, seen["hotpot.commits"]);
        Assert.True(seen["hotpot.log.bytes"] > 0);
        Assert.Equal(0, seen["hotpot.peers.connected"]);

        NodeId node = engine.NodeId;
        await engine.DisposeAsync();
        Assert.Empty(Collect(node));
    }

    [Fact]
    public async Task Every_instrument_is_documented()
    {
        await using EngineFixture fixture = new();
        Engine engine = fixture.Start();
        string documentation = File.ReadAllText(Path.Combine(Repository.Root(), "docs", "configuration.md"));
        HashSet<string> names = [.. Collect(engine.NodeId).Keys];
        Assert.True(names.Count > 20, "The listener saw too few instruments to prove anything.");
        names.UnionWith(["hotpot.commit.phase.duration", "hotpot.commit.duration", "hotpot.acquire.duration"]);
        Assert.All(names, name => Assert.Contains($"`{name}`", documentation));
    }

    [Fact]
    public void A_phase_of_a_commit_is_measured_and_traced()
    {
        ConcurrentQueue<string?> phases = new();
        using MeterListener meters = new();
        meters.InstrumentPublished = (instrument, listener) =>
        {
            if (instrument.Meter.Name == HotpotDiagnostics.MeterName && instrument.Name == "hotpot.commit.phase.duration")
                listener.EnableMeasurementEvents(instrument);
        };
        meters.SetMeasurementEventCallback<double>((_, _, tags, _) => phases.Enqueue((string?)tags[0].Value));
        meters.Start();
        ConcurrentQueue<string> spans = new();
        using ActivityListener activities = new()
        {
            ShouldListenTo = source => source.Name == HotpotDiagnostics.ActivitySourceName,
            Sample = (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllData,
            ActivityStopped = activity => spans.Enqueue(activity.OperationName),
        };
        ActivitySource.AddActivityListener(activities);

        using (HotpotDiagnostics.BeginCommitPhase(CommitPhase.Stage))
            Assert.DoesNotContain("stage", phases);

        Assert.Contains("stage", phases);
        Assert.Contains("hotpot.commit.stage", spans);
    }

    private static ConcurrentDictionary<string, long> Collect(NodeId node)
    {
        ConcurrentDictionary<string, long> seen = new();
        using MeterListener listener = new();
        listener.InstrumentPublished = (instrument, self) =>
        {
            if (instrument.Meter.Name == HotpotDiagnostics.MeterName
                && instrument.Meter.Tags?.Any(tag => tag.Key == "hotpot.node" && (string?)tag.Value == node.ToString()) == true)
                self.EnableMeasurementEvents(instrument);
        };
        listener.SetMeasurementEventCallback<long>((instrument, value, _, _) => seen[instrument.Name] = value);
        listener.Start();
        listener.RecordObservableInstruments();
        return seen;
    }
}
