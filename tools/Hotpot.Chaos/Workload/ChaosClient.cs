using Hotpot.Chaos.Faults;
using Hotpot.Chaos.Node;
using Hotpot.Chaos.Orchestration;
using Hotpot.Histories;

namespace Hotpot.Chaos.Workload;

/// <summary>One client: it does one operation after the other on its node, and records what it was told.</summary>
internal abstract class ChaosClient(ChaosCluster cluster, Recorder recorder, int number, int node, int seed)
{
    /// <summary>No call of the grain takes longer; one that does is a silo that hangs.</summary>
    private static readonly TimeSpan s_callTimeout = TimeSpan.FromSeconds(45);

    private static readonly TimeSpan s_pauseAfterFailure = TimeSpan.FromMilliseconds(300);

    // Two cores carry all nodes and all clients: without a breath between operations only the queues would grow.
    private const int PauseMinMs = 10;
    private const int PauseMaxMs = 60;

    private readonly string _name = $"c{number}";

    // Written by the one task that runs this client, as everything below.
    private long _operations;

    /// <summary>Decides what is done; when it is done is up to the machine.</summary>
    protected Random Random { get; } = new(HashCode.Combine(seed, number));

    protected int Number => number;

    public async Task RunAsync(CancellationToken stopping)
    {
        while (!stopping.IsCancellationRequested)
        {
            try
            {
                await StepAsync(stopping);
                await Task.Delay(Random.Next(PauseMinMs, PauseMaxMs), stopping);
            }
            catch (OperationCanceledException) when (stopping.IsCancellationRequested)
            {
                return;
            }
        }
    }

    protected abstract Task StepAsync(CancellationToken stopping);

    /// <summary>Calls this client's node, once it is there, and records the operation.</summary>
    /// <param name="accesses">What the operation is, given what it read; nothing was read when it is not known to have succeeded.</param>
    protected async Task<Reply?> DoAsync(
        Histories.Workload kind, Evidence evidence, Func<IChaosGrain, Task<Reply>> call, Func<long[][]?, IReadOnlyList<Access>> accesses, CancellationToken stopping)
    {
        var life = await cluster.Slots[node].WaitUpAsync(stopping);
        var invokeUs = Clock.NowUs;
        Reply? reply = null;
        string? failure = null;
        try
        {
            reply = await call(cluster.On(life, number)).WaitAsync(s_callTimeout, CancellationToken.None);
        }
        catch (Exception error) when (error is HotpotException or OrleansException or TimeoutException)
        {
            failure = error.GetType().Name;
        }

        var completeUs = Clock.NowUs;
        var outcome = reply?.Outcome ?? Outcome.Unknown;
        var operation = new Operation(
            _name, node.ToString(System.Globalization.CultureInfo.InvariantCulture), _operations++, kind, accesses(outcome == Outcome.Ok ? reply!.Reads : null), invokeUs, completeUs, outcome);
        recorder.Add(new Recorded(operation, evidence, life), reply, failure);
        // A node that is going away refuses at once; it would fill the history with nothing but that.
        if (failure is not null)
            await Task.Delay(s_pauseAfterFailure, stopping);
        return reply;
    }
}
