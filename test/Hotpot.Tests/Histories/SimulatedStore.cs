using Hotpot.Histories;

namespace Hotpot.Tests.Histories;

/// <summary>
/// A store that is strictly serialisable by construction: every operation takes effect at one instant between its
/// invocation and its completion, one of unknown outcome at any later instant or never, one that failed never. Clients
/// overlap at random. The same seed makes the same history.
/// </summary>
internal sealed class SimulatedStore
{
    private const int Keys = 4;
    private readonly Random _random;
    private readonly PriorityQueue<Action, (long TimeUs, long Tie)> _events = new();
    private readonly Dictionary<string, List<long>> _lists = [];
    private readonly Dictionary<string, long> _numbers = [];
    private readonly List<Operation> _done = [];
    private long _tie;
    private long _nextValue;
    private long _nextId;
    private long _lastUs;

    private SimulatedStore(int seed)
    {
        _random = new Random(seed);
        foreach (var account in Accounts.Keys) _numbers[account] = Accounts[account];
    }

    public static IReadOnlyDictionary<string, long> Accounts { get; } = new Dictionary<string, long> { ["a0"] = 100, ["a1"] = 100, ["a2"] = 100 };

    public static History Run(int seed, Workload kind, int clients, int operationsEach) => new SimulatedStore(seed).RunAll(kind, clients, operationsEach);

    private History RunAll(Workload kind, int clients, int operationsEach)
    {
        for (var client = 0; client < clients; ++client) Begin($"c{client}", kind, _random.Next(100), operationsEach);
        while (_events.TryDequeue(out var act, out _)) act();
        ReadAll(kind);
        return new History(_done);
    }

    private void At(long timeUs, Action act) => _events.Enqueue(act, (timeUs, ++_tie));

    private void Begin(string client, Workload kind, long invokeUs, int left)
    {
        var completeUs = invokeUs + _random.Next(1, 200);
        var lot = _random.Next(100);
        var outcome = lot < 90 ? Outcome.Ok : lot < 95 ? Outcome.Fail : Outcome.Unknown;
        var operation = new Operation(client, $"n{client.Length}", ++_nextId, kind, Ask(kind), invokeUs, completeUs, outcome);
        if (outcome == Outcome.Ok) At(_random.NextInt64(invokeUs, completeUs + 1), () => _done.Add(Apply(operation)));
        else _done.Add(operation);
        if (outcome == Outcome.Unknown && _random.Next(2) == 0) At(invokeUs + _random.Next(2000), () => Apply(operation));
        _lastUs = Math.Max(_lastUs, completeUs);
        if (left > 1) At(completeUs, () => Begin(client, kind, completeUs + _random.Next(100), left - 1));
    }

    private IReadOnlyList<Access> Ask(Workload kind) => kind switch
    {
        Workload.Register => [_random.Next(5) switch
        {
            0 => Access.Cas(Key("r"), _nextValue, ++_nextValue),
            1 or 2 => Access.Write(Key("r"), ++_nextValue),
            _ => new Access(AccessKind.Read, Key("r")),
        }],
        Workload.List => [.. Enumerable.Range(0, _random.Next(1, 5)).Select(_ => _random.Next(2) == 0 ? Access.Append(Key("l"), ++_nextValue) : new Access(AccessKind.Read, Key("l")))],
        Workload.Bank when _random.Next(2) == 0 => [.. Accounts.Keys.Select(account => new Access(AccessKind.Read, account))],
        Workload.Bank => Transfer(_random.Next(1, 10), _random.Next(3)),
        _ => [_random.Next(2) == 0 ? Access.Add(Key("n"), _random.Next(1, 4)) : new Access(AccessKind.Read, Key("n"))],
    };

    private static IReadOnlyList<Access> Transfer(long amount, int from) => [Access.Add($"a{from}", -amount), Access.Add($"a{(from + 1) % 3}", amount)];

    private string Key(string prefix) => $"{prefix}{_random.Next(Keys)}";

    // At one instant, so atomically. A compare-and-set that does not find what it expects has failed.
    private Operation Apply(Operation operation)
    {
        var outcome = operation.Outcome;
        var accesses = operation.Accesses.Select(access =>
        {
            var number = _numbers.GetValueOrDefault(access.Key);
            if (!_lists.TryGetValue(access.Key, out var list)) _lists[access.Key] = list = [];
            switch (access.Kind)
            {
                case AccessKind.Read: return access with { Values = operation.Kind == Workload.List ? [.. list] : [number] };
                case AccessKind.Append: list.Add(access.Values![0]); break;
                case AccessKind.Write: _numbers[access.Key] = access.Values![0]; break;
                case AccessKind.Add: _numbers[access.Key] = number + access.Values![0]; break;
                case AccessKind.Cas when number == access.Values![0]: _numbers[access.Key] = access.Values[1]; break;
                default: outcome = Outcome.Fail; break;
            }
            return access;
        }).ToList();
        return operation with { Accesses = accesses, Outcome = outcome };
    }

    private void ReadAll(Workload kind)
    {
        IReadOnlyList<IReadOnlyList<Access>> reads = kind == Workload.Bank
            ? [[.. Accounts.Keys.Select(account => new Access(AccessKind.Read, account))]]
            : [.. Enumerable.Range(0, Keys).Select(key => (IReadOnlyList<Access>)[new Access(AccessKind.Read, $"{(kind == Workload.Register ? "r" : kind == Workload.List ? "l" : "n")}{key}")])];
        foreach (var read in reads)
        {
            _lastUs += 10;
            _done.Add(Apply(new Operation("end", "n", ++_nextId, kind, read, _lastUs, _lastUs + 5, Outcome.Ok)));
        }
    }
}
