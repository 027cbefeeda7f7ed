using System.Net;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Hotpot.Silo;

/// <summary>
/// Answers GET /health: 200 while the silo is ready, 503 before and after, with the same document as status.json. It runs only when
/// a health address is set, serves one request after the other, and knows no other path.
/// </summary>
internal sealed partial class HealthListener(
    SiloState state, Engine engine, IOptions<HotpotOptions> options, ILogger<HealthListener> logger) : IHostedService, IDisposable
{
    public const string HealthPath = "/health";

    private readonly HttpListener _listener = new();
    private readonly CancellationTokenSource _stopping = new();

    // Written by StartAsync only.
    private Task _serving = Task.CompletedTask;

    public Task StartAsync(CancellationToken cancellationToken)
    {
        string? address = options.Value.HealthAddress;
        if (string.IsNullOrEmpty(address))
            return Task.CompletedTask;
        _listener.Prefixes.Add($"http://{address}/");
        try
        {
            _listener.Start();
        }
        catch (HttpListenerException failure)
        {
            throw new HotpotConfigurationException(
                $"{SettingNames.Explain(nameof(HotpotOptions.HealthAddress))} is {address}, which cannot be listened on ({failure.Message}); choose a free port of this machine.");
        }
        LogListening(address, HealthPath);
        _serving = Task.Run(ServeAsync, CancellationToken.None);
        return Task.CompletedTask;
    }

    public async Task StopAsync(CancellationToken cancellationToken)
    {
        await _stopping.CancelAsync();
        _listener.Abort();
        await _serving.WaitAsync(cancellationToken);
    }

    public void Dispose()
    {
        ((IDisposable)_listener).Dispose();
        _stopping.Dispose();
    }

    private async Task ServeAsync()
    {
        while (!_stopping.IsCancellationRequested)
        {
            HttpListenerContext context;
            try
            {
                context = await _listener.GetContextAsync();
            }
            catch (Exception failure) when (failure is HttpListenerException or ObjectDisposedException && _stopping.IsCancellationRequested)
            {
                return;
            }
            await AnswerAsync(context, _stopping.Token);
        }
    }

    private async Task AnswerAsync(HttpListenerContext context, CancellationToken cancellationToken)
    {
        try
        {
            using HttpListenerResponse response = context.Response;
            if (context.Request.Url?.AbsolutePath != HealthPath || context.Request.HttpMethod is not ("GET" or "HEAD"))
            {
                response.StatusCode = (int)HttpStatusCode.NotFound;
                return;
            }
            SiloPhase phase = state.Phase;
            byte[] body = StatusReporter.Serialize(StatusReporter.Describe(phase, engine, options.Value));
            response.StatusCode = (int)(phase == SiloPhase.Ready ? HttpStatusCode.OK : HttpStatusCode.ServiceUnavailable);
            response.ContentType = "application/json";
            response.ContentLength64 = body.Length;
            if (context.Request.HttpMethod == "GET")
                await response.OutputStream.WriteAsync(body, cancellationToken);
        }
        catch (Exception failure) when (failure is HttpListenerException or IOException or OperationCanceledException)
        {
            // The asker went away, or the silo stops; neither concerns the silo's health.
            LogUnanswered(failure);
        }
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Health is served at http://{Address}{Path}.")]
    private partial void LogListening(string address, string path);

    [LoggerMessage(Level = LogLevel.Debug, Message = "A health request was not answered.")]
    private partial void LogUnanswered(Exception failure);
}
