using Hotpot.Runtime.Diagnostics;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using OpenTelemetry;
using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;
using OpenTelemetry.Trace;

namespace Hotpot.Silo;

/// <summary>
/// Exports the meter and the activity source "Hotpot" by OTLP while the silo runs. Where to, and how often, is said by
/// OpenTelemetry's own variables; without an endpoint nothing is collected.
/// </summary>
internal sealed partial class TelemetryExport(Engine engine, ILogger<TelemetryExport> logger) : IHostedService, IDisposable
{
    public const string EndpointVariable = "OTEL_EXPORTER_OTLP_ENDPOINT";

    // Both are written by StartAsync, and by Dispose.
    private MeterProvider? _metrics;
    private TracerProvider? _traces;

    public static bool IsWanted => !string.IsNullOrEmpty(Environment.GetEnvironmentVariable(EndpointVariable));

    public Task StartAsync(CancellationToken cancellationToken)
    {
        ResourceBuilder resource = ResourceBuilder.CreateDefault()
            .AddService("hotpot-silo", serviceInstanceId: engine.NodeId.ToString());
        _metrics = Sdk.CreateMeterProviderBuilder()
            .SetResourceBuilder(resource)
            .AddMeter(HotpotDiagnostics.MeterName)
            .AddOtlpExporter()
            .Build();
        _traces = Sdk.CreateTracerProviderBuilder()
            .SetResourceBuilder(resource)
            .AddSource(HotpotDiagnostics.ActivitySourceName)
            .AddOtlpExporter()
            .Build();
        LogExporting(Environment.GetEnvironmentVariable(EndpointVariable)!);
        return Task.CompletedTask;
    }

    /// <summary>The last figures leave before the engine, which they are read from, is disposed.</summary>
    public Task StopAsync(CancellationToken cancellationToken)
    {
        int patience = cancellationToken.IsCancellationRequested ? 0 : LastExportMs;
        _metrics?.ForceFlush(patience);
        _traces?.ForceFlush(patience);
        Dispose();
        return Task.CompletedTask;
    }

    public void Dispose()
    {
        _metrics?.Dispose();
        _traces?.Dispose();
        _metrics = null;
        _traces = null;
    }

    // A collector that does not answer must not use up the time for handing over.
    private const int LastExportMs = 2000;

    [LoggerMessage(Level = LogLevel.Information, Message = "Metrics and traces are exported by OTLP to {Endpoint}.")]
    private partial void LogExporting(string endpoint);
}
