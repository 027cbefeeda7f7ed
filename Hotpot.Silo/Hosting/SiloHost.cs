using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Hotpot.Silo;

/// <summary>The silo program's host.</summary>
internal static partial class SiloHost
{
    public static IHost Build(CommandLine commandLine)
    {
        HostApplicationBuilder builder = Host.CreateApplicationBuilder(new HostApplicationBuilderSettings
        {
            // The settings that ship with the program, wherever it is started from.
            ContentRootPath = AppContext.BaseDirectory,
        });
        if (commandLine.File is { } file)
            builder.Configuration.AddJsonFile(Path.GetFullPath(file), optional: false, reloadOnChange: false);
        builder.Configuration.AddHotpotEnvironment();
        builder.Configuration.AddInMemoryCollection(commandLine.Settings);

        HotpotOptions options = Bind(builder.Configuration);
        builder.Logging.AddSimpleConsole(console =>
        {
            console.SingleLine = true;
            console.TimestampFormat = "HH:mm:ss.fff ";
        });
        builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = options.DrainTimeout);
        builder.UseOrleans(silo => silo.UseHotpotClustering(options).AddHotpot());
        // Registered last, so it stops first and the engine is still there for the last figures.
        if (TelemetryExport.IsWanted)
            builder.Services.AddHostedService<TelemetryExport>();
        return builder.Build();
    }

    /// <summary>Runs the host until it is told to stop, and disposes it; returns the exit code.</summary>
    public static async Task<int> RunAsync(IHost host)
    {
        // Disposing asynchronously is what flushes the engine, after everything that uses it has stopped.
        await using IAsyncDisposable disposal = (IAsyncDisposable)host;
        ILogger logger = host.Services.GetRequiredService<ILoggerFactory>().CreateLogger("Hotpot.Silo");
        // What is wrong with the data directory is one sentence for the one who started the silo; started by the host, the
        // engine's failure would be logged with the stack of the whole container.
        _ = host.Services.GetRequiredService<Engine>();
        await host.StartAsync();
        await host.Services.GetRequiredService<IHostApplicationLifetime>().WaitForStopAsync();
        // Afterwards every stopped silo is dead in the membership; before, only one that the others have given up.
        bool fenced = IsDeclaredDead(host.Services);
        try
        {
            // The host itself ends this after HostOptions.ShutdownTimeout.
            await host.StopAsync();
            return fenced ? ExitCodes.Fenced : ExitCodes.Stopped;
        }
        catch (OperationCanceledException failure)
        {
            LogDrainTimedOut(logger, failure);
            return ExitCodes.DrainTimedOut;
        }
    }

    /// <summary>The other silos have given this one up.</summary>
    internal static bool IsDeclaredDead(IServiceProvider services)
    {
        ClusterMembershipSnapshot snapshot = services.GetRequiredService<IClusterMembershipService>().CurrentSnapshot;
        return snapshot.GetSiloStatus(services.GetRequiredService<ILocalSiloDetails>().SiloAddress) == SiloStatus.Dead;
    }

    private static HotpotOptions Bind(IConfiguration configuration)
    {
        HotpotOptions options = new();
        try
        {
            configuration.GetSection(HotpotOptions.Section).Bind(options);
        }
        catch (InvalidOperationException failure)
        {
            throw new HotpotConfigurationException($"{failure.Message.TrimEnd('.')}: {failure.InnerException?.Message ?? "write it as docs/configuration.md says."}");
        }
        ValidateOptionsResult result = new HotpotOptionsValidator().Validate(null, options);
        return result.Succeeded ? options : throw new OptionsValidationException(HotpotOptions.Section, typeof(HotpotOptions), result.Failures);
    }

    private static Task WaitForStopAsync(this IHostApplicationLifetime lifetime)
    {
        TaskCompletionSource stopping = new(TaskCreationOptions.RunContinuationsAsynchronously);
        lifetime.ApplicationStopping.Register(stopping.SetResult);
        return stopping.Task;
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "The silo could not hand over everything in time; the others take its chunks by fail-over, so wait for their full degree before you stop another silo.")]
    private static partial void LogDrainTimedOut(ILogger logger, Exception failure);
}
