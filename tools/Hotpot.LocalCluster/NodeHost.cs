using Hotpot.Grains.Node;
using Hotpot.Silo;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Console;

namespace Hotpot.LocalCluster;

/// <summary>A silo with an application's own grains in it: what an application of Hotpot looks like.</summary>
/// <remarks>
/// Standard output carries one line, "ready" and the node's id, for the process that started this one. Standard input carries nothing, but its
/// end means that process is gone: then this one drains and leaves, so that no silo is ever left behind. The log goes to standard error.
/// </remarks>
internal static class NodeHost
{
    public const string ReadyWord = "ready";

    public static async Task<int> RunAsync(NodeOptions options, Action<IServiceCollection> services, CancellationToken cancellation)
    {
        var builder = Host.CreateApplicationBuilder(new HostApplicationBuilderSettings { ContentRootPath = AppContext.BaseDirectory });
        builder.Configuration.AddInMemoryCollection(
        [
            Setting(nameof(HotpotOptions.DataDirectory), options.DataDirectory),
            Setting(nameof(HotpotOptions.ClusterDirectory), options.ClusterDirectory),
            Setting(nameof(HotpotOptions.ClusterKeyFile), options.ClusterKeyFile),
            Setting(nameof(HotpotOptions.Medium), options.Medium.ToString()),
        ]);
        if (options.BindAddress is not null)
            builder.Configuration.AddInMemoryCollection([Setting(nameof(HotpotOptions.BindAddress), options.BindAddress)]);
        if (options.Transports is not null)
            builder.Configuration.AddInMemoryCollection([Setting(nameof(HotpotOptions.Transports), options.Transports)]);
        builder.Configuration.AddInMemoryCollection((options.Settings ?? []).Select(setting => setting.Split('=', 2)).Select(pair => Setting(pair[0], pair[1])));
        builder.Logging.ClearProviders();
        builder.Logging.AddSimpleConsole(console =>
        {
            console.SingleLine = true;
            console.TimestampFormat = "HH:mm:ss.fff ";
        });
        builder.Services.Configure<ConsoleLoggerOptions>(console => console.LogToStandardErrorThreshold = LogLevel.Trace);
        builder.Services.AddSingleton<MappedDatasets>();
        services(builder.Services);
        builder.UseOrleans(silo => silo.UseHotpotClustering(new HotpotOptions { ClusterDirectory = options.ClusterDirectory }).AddHotpot());

        var host = builder.Build();
        // Disposing asynchronously is what flushes the engine, after everything that uses it has stopped.
        await using var disposal = (IAsyncDisposable)host;
        await host.StartAsync(cancellation).ConfigureAwait(false);
        var node = host.Services.GetRequiredService<IHotpotNode>();
        await node.Ready.WaitAsync(cancellation).ConfigureAwait(false);
        await Console.Out.WriteLineAsync($"{ReadyWord} {node.Identity.Node}").ConfigureAwait(false);
        await WaitForEndOfInputAsync(host.Services.GetRequiredService<IHostApplicationLifetime>()).ConfigureAwait(false);
        // Afterwards every stopped silo is dead in the membership; before, only one that the others have given up.
        var fenced = SiloHost.IsDeclaredDead(host.Services);
        await host.StopAsync(CancellationToken.None).ConfigureAwait(false);
        return fenced ? ExitCodes.Fenced : ExitCodes.Stopped;
    }

    private static KeyValuePair<string, string?> Setting(string name, string? value) => new(ConfigurationPath.Combine(HotpotOptions.Section, name), value);

    /// <summary>Returns at the end of standard input, or when a signal has told the host to stop.</summary>
    private static async Task WaitForEndOfInputAsync(IHostApplicationLifetime lifetime)
    {
        var stopping = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using var registration = lifetime.ApplicationStopping.Register(stopping.SetResult);
        // A console's reader blocks its thread, so it gets one of its own.
        var ended = Task.Factory.StartNew(
            () =>
            {
                while (Console.In.Read() >= 0)
                    continue;
            },
            CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        await Task.WhenAny(stopping.Task, ended).ConfigureAwait(false);
    }
}
