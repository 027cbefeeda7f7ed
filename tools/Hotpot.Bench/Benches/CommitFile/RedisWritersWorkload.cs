using Hotpot.Bench.Benches.Commit;
using Hotpot.Bench.Harness;
using Hotpot.Bench.Node;

namespace Hotpot.Bench.Benches.CommitFile;

/// <summary>Writers with a connection and a thread each: SET and WAIT.</summary>
internal sealed class RedisWritersWorkload(RedisCommitWorkload[] writers) : IWorkload
{
    public const string Kind = "redis-writers";

    public static WorkloadSpec Spec(string endpoint, int writers, int bytes, int replicas) => new()
    {
        Kind = Kind, Parameters = new() { ["endpoint"] = endpoint, ["writers"] = $"{writers}", ["bytes"] = $"{bytes}", ["replicas"] = $"{replicas}" },
    };

    public static Task<IWorkload> CreateAsync(WorkloadContext context)
    {
        var spec = context.Spec;
        return Task.FromResult<IWorkload>(new RedisWritersWorkload(
        [
            .. Enumerable.Range(0, (int)spec.Number("writers")).Select(writer => RedisCommitWorkload.Create(
                RedisCommitWorkload.Spec(spec["endpoint"], areas: 1, (int)spec.Number("bytes"), (int)spec.Number("replicas"), $"writer-{writer}"))),
        ]));
    }

    public Task<Turn> RunAsync(int operations, TimeSpan limit) => WriterLoops.RunOnThreadsAsync(writers.Length, limit, writer => writers[writer].Write());

    public async ValueTask DisposeAsync()
    {
        foreach (var writer in writers)
            await writer.DisposeAsync();
    }
}
