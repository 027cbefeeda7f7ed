using Hotpot.ClusterNode;
using Hotpot.Grains.Node;
using Hotpot.Silo;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Console;

// Settings come as command-line arguments of section Hotpot. "ready <node>" on standard output says that the node is a member;
// the end of standard input says that the test is gone.
HostApplicationBuilder builder = Host.CreateApplicationBuilder(new HostApplicationBuilderSettings { ContentRootPath = AppContext.BaseDirectory, Args = args });
builder.Logging.ClearProviders();
builder.Logging.AddSimpleConsole(console => console.SingleLine = true);
builder.Services.Configure<ConsoleLoggerOptions>(console => console.LogToStandardErrorThreshold = LogLevel.Trace);
builder.Services.AddSingleton<Mappings>();
builder.Services.AddSingleton<Background>();
builder.Services.AddSingleton<Stores>();
HotpotOptions options = new();
builder.Configuration.GetSection(HotpotOptions.Section).Bind(options);
builder.UseOrleans(silo => silo.UseHotpotClustering(options).AddHotpot());

using IHost host = builder.Build();
await host.StartAsync();
IHotpotNode node = host.Services.GetRequiredService<IHotpotNode>();
await node.Ready;
await Console.Out.WriteLineAsync($"ready {node.Identity.Node}");
TaskCompletionSource stopping = new(TaskCreationOptions.RunContinuationsAsynchronously);
using CancellationTokenRegistration registration =
    host.Services.GetRequiredService<IHostApplicationLifetime>().ApplicationStopping.Register(stopping.SetResult);
Task ended = Task.Factory.StartNew(
    () =>
    {
        while (Console.In.Read() >= 0)
            continue;
    },
    CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
await Task.WhenAny(stopping.Task, ended);
await host.StopAsync();
