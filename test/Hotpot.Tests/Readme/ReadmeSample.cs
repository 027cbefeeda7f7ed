using Hotpot.Clients;
using Hotpot.Grains;
using Hotpot.Silo;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Hotpot.Tests.Readme;

public sealed class VisitCounter(IHotpot hotpot, ILogger<VisitCounter> log) : BackgroundService
{
    protected override async Task ExecuteAsync(CancellationToken stopping)
    {
        Dataset visits = await hotpot.OpenAsync("visits", stopping);
        using Mapping memory = visits.Map();                    // at the same address on every node

        memory.Ref<long>(0)++;                                  // a load and a store, nothing more
        memory.Ref<ulong>(8) = memory.AddressOf(0);             // a pointer that every node can follow
        CommitResult commit = await visits.CommitAsync(cancellationToken: stopping);
        log.LogInformation("Durable on {Nodes} nodes.", commit.Degree);

        ref long counted = ref memory.At<long>(memory.Ref<ulong>(8));
        log.LogInformation("{Visits} visits.", counted);
    }

    public static void AddTo(HostApplicationBuilder builder, HotpotOptions options)
    {
        builder.UseOrleans(silo => silo.UseHotpotClustering(options).AddHotpot());
        builder.Services.AddHostedService<VisitCounter>();
    }
}
