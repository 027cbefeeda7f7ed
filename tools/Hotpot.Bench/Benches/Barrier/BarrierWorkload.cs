using Hotpot.Bench.Harness;
using Hotpot.Bench.Node;
using Hotpot.Clients;

namespace Hotpot.Bench.Benches.Barrier;

/// <summary>The participants of a barrier that live in this process. All processes run the same number of rounds in a turn, whatever the limit.</summary>
internal sealed class BarrierWorkload(DistributedBarrier[] participants) : IWorkload
{
    public const string Kind = "barrier";

    public static WorkloadSpec Spec(string name, int participants, int here) => new()
    {
        Kind = Kind, Parameters = new() { ["name"] = name, ["participants"] = $"{participants}", ["here"] = $"{here}" },
    };

    public static Task<IWorkload> CreateAsync(WorkloadContext context) => Task.FromResult<IWorkload>(new BarrierWorkload(
    [
        .. Enumerable.Range(0, (int)context.Spec.Number("here")).Select(_ => context.Hotpot.Barrier(context.Spec["name"], (int)context.Spec.Number("participants"))),
    ]));

    public async Task<Turn> RunAsync(int operations, TimeSpan limit)
    {
        var turns = await Task.WhenAll(participants.Select(participant => Task.Run(() => RunAsync(participant, operations))));
        return turns[0];
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private static async Task<Turn> RunAsync(DistributedBarrier participant, int rounds)
    {
        var clock = new TurnClock(rounds, TimeSpan.MaxValue);
        while (clock.Begin())
        {
            await participant.ArriveAndWaitAsync().ConfigureAwait(false);
            clock.End();
        }

        return clock.Done();
    }
}
