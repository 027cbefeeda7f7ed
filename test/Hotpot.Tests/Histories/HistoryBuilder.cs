using Hotpot.Histories;

namespace Hotpot.Tests.Histories;

/// <summary>Histories written down by hand: each operation with its times, and a client of its own unless one is named.</summary>
internal sealed class HistoryBuilder(Workload kind)
{
    private readonly List<Operation> _operations = [];

    public static HistoryBuilder Lists => new(Workload.List);

    public static HistoryBuilder Registers => new(Workload.Register);

    public static HistoryBuilder Counters => new(Workload.Counter);

    public static HistoryBuilder Bank => new(Workload.Bank);

    public HistoryBuilder Ok(long invokeUs, long completeUs, params Access[] accesses) => Add(null, invokeUs, completeUs, Outcome.Ok, accesses);

    public HistoryBuilder OkBy(string client, long invokeUs, long completeUs, params Access[] accesses) => Add(client, invokeUs, completeUs, Outcome.Ok, accesses);

    public HistoryBuilder Failed(long invokeUs, long completeUs, params Access[] accesses) => Add(null, invokeUs, completeUs, Outcome.Fail, accesses);

    public HistoryBuilder Unknown(long invokeUs, params Access[] accesses) => Add(null, invokeUs, null, Outcome.Unknown, accesses);

    public History Build() => new(_operations);

    private HistoryBuilder Add(string? client, long invokeUs, long? completeUs, Outcome outcome, Access[] accesses)
    {
        _operations.Add(new Operation(client ?? $"c{_operations.Count}", "1", _operations.Count, kind, accesses, invokeUs, completeUs, outcome));
        return this;
    }
}
