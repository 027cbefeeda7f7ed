using Hotpot.Bench.Harness;
using Hotpot.Bench.Node;
using Microsoft.Extensions.DependencyInjection;

namespace Hotpot.Bench.Benches.Barrier;

/// <summary>A call of a grain on another node, one at a time.</summary>
internal sealed class GrainCallWorkload(ICallGrain grain) : IWorkload
{
    public const string Kind = "grain-call";

    public static WorkloadSpec Spec(NodeId node) => new() { Kind = Kind, Parameters = new() { ["node"] = $"{node}" } };

    public static Task<IWorkload> CreateAsync(WorkloadContext context) => Task.FromResult<IWorkload>(
        new GrainCallWorkload(context.Services.GetRequiredService<IGrainFactory>().GetGrain<ICallGrain>(GrainKeys.Node(NodeId.Parse(context.Spec["node"])))));

    public async Task<Turn> RunAsync(int operations, TimeSpan limit)
    {
        long value = 0;
        var clock = new TurnClock(operations, limit);
        while (clock.Begin())
        {
            value = await grain.CallAsync(value).ConfigureAwait(false);
            clock.End();
        }

        return clock.Done();
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
