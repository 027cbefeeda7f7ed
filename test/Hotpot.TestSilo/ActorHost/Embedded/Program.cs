using Hotpot.TestSilo;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

// usage: Hotpot.TestSilo <cluster directory> <silo name> Says "active <address>" when calls can come, "fenced" when it
// finds itself declared dead, and "stopped" at the end. Ends when its input ends.
if (args.Length != 2)
{
    Console.Error.WriteLine("usage: Hotpot.TestSilo <cluster directory> <silo name>");
    return 64;
}

var builder = Host.CreateApplicationBuilder();

// Standard output belongs to the words above.
builder.Logging.ClearProviders().AddConsole(console => console.LogToStandardErrorThreshold = LogLevel.Trace).SetMinimumLevel(LogLevel.Error);
builder.UseOrleans(silo =>
{
    silo.UseEmbeddedClustering(args[0])
        .AddEmbeddedGrainStorage("test")
        .AddPlacementDirector<OnNamedSilo, OnNamedSiloDirector>()
        .Configure<SiloOptions>(options => options.SiloName = args[1]);
});
using var host = builder.Build();
await host.StartAsync();
var local = host.Services.GetRequiredService<ILocalSiloDetails>();
var membership = host.Services.GetRequiredService<IClusterMembershipService>();
Console.WriteLine($"active {local.SiloAddress.ToParsableString()}");

using var ended = new CancellationTokenSource();
var watching = Task.Run(async () =>
{
    await foreach (var snapshot in membership.MembershipUpdates.WithCancellation(ended.Token))
    {
        if (snapshot.GetSiloStatus(local.SiloAddress) != SiloStatus.Dead)
            continue;
        Console.WriteLine("fenced");
        return true;
    }

    return false;
});
var parent = Task.Run(() => Console.In.ReadToEnd());
var stopping = host.WaitForShutdownAsync();
if (await Task.WhenAny(parent, stopping) == parent)
    await host.StopAsync();
await stopping;
await ended.CancelAsync();
await watching.ContinueWith(_ => { }, TaskScheduler.Default);
Console.WriteLine("stopped");
return 0;
