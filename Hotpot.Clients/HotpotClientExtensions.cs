using Hotpot.Grains.Node;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;

namespace Hotpot.Clients;

public static class HotpotClientExtensions
{
    /// <summary>
    /// Registers <see cref="IHotpot"/>. In a silo AddHotpot does this; any other process calls it beside the actor host's own
    /// client. Calling it twice is harmless.
    /// </summary>
    public static IServiceCollection AddHotpotClient(this IServiceCollection services)
    {
        services.TryAddSingleton<IHotpot>(
            provider => new HotpotClient(provider.GetRequiredService<IGrainFactory>(), provider.GetService<IHotpotNode>()));
        return services;
    }
}
