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
    SiloState state, Engine engine, IOptions<HotpotOptions> options, ILogger<HealthListener> logger) : BackgroundService
{
    public const string HealthPath = "/health";

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        if (string.IsNullOrEmpty(options.Value.HealthAddress))
            return;
        using HttpListener listener = new();
        listener.Prefixes.Add($"http://{options.Value.HealthAddress}/");
        try
        {
            listener.Start();
        }
        catch (HttpListenerException failure)
        {
            LogNotListening(failure, options.Value.HealthAddress);
            return;
        }
        LogListening(options.Value.HealthAddress, HealthPath);
        using CancellationTokenRegistration stop = stoppingToken.Register(listener.Abort);
        while (!stoppingToken.IsCancellationRequested)
        {
            HttpListenerContext context;
            try
            {
                context = await listener.GetContextAsync();
            }
            catch (Exception failure) when (failure is HttpListenerException or ObjectDisposedException && stoppingToken.IsCancellationRequested)
            {
                return;
            }
            await AnswerAsync(context, stoppingToken);
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

    [LoggerMessage(Level = LogLevel.Error, Message = "Health is not served, because {Address} cannot be listened on; choose a free port of this machine.")]
    private partial void LogNotListening(Exception failure, string address);

    [LoggerMessage(Level = LogLevel.Debug, Message = "A health request was not answered.")]
    private partial void LogUnanswered(Exception failure);
}
