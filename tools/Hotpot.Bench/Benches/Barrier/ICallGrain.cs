using Hotpot.Grains.Placement;

namespace Hotpot.Bench.Benches.Barrier;

/// <summary>The least that a grain call can do.</summary>
[Alias("hotpot.bench.ICallGrain")]
public interface ICallGrain : IGrainWithStringKey
{
    [Alias("Call")]
    Task<long> CallAsync(long value);
}

[OnNode]
[Reentrant]
internal sealed class CallGrain : Grain, ICallGrain
{
    public Task<long> CallAsync(long value) => Task.FromResult(value + 1);
}
