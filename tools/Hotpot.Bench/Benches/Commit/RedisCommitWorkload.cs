using System.Globalization;
using System.Text;
using Hotpot.Bench.Harness;
using Hotpot.Bench.Node;
using Hotpot.Bench.Peers;

namespace Hotpot.Bench.Benches.Commit;

/// <summary>The same areas as values of Redis: SET, or MULTI of several SETs, and WAIT for the replicas, in one write.</summary>
internal sealed class RedisCommitWorkload : IWorkload
{
    public const string Kind = "redis-commit";

    private readonly RespClient _client;
    private readonly Records _records;
    private readonly int _replicas;
    private readonly byte[] _replicasText;
    private readonly byte[][] _keys;

    private RedisCommitWorkload(RespClient client, Records records, int replicas, string prefix)
    {
        _client = client;
        _records = records;
        _replicas = replicas;
        _replicasText = Encoding.ASCII.GetBytes(replicas.ToString(CultureInfo.InvariantCulture));
        _keys = [.. Enumerable.Range(0, Records.Slots).Select(slot => Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{prefix}:{slot}")))];
    }

    /// <param name="replicas">How many replicas have the write before it returns; 0: nobody is waited for.</param>
    public static WorkloadSpec Spec(string endpoint, int areas, int areaBytes, int replicas, string prefix = "record") => new()
    {
        Kind = Kind,
        Parameters = new Dictionary<string, string>
        {
            ["endpoint"] = endpoint, ["areas"] = $"{areas}", ["bytes"] = $"{areaBytes}", ["replicas"] = $"{replicas}", ["prefix"] = prefix,
        },
    };

    public static Task<IWorkload> CreateAsync(WorkloadContext context) => Task.FromResult<IWorkload>(Create(context.Spec));

    public static RedisCommitWorkload Create(WorkloadSpec spec) => new(
        RespClient.Connect(spec["endpoint"]), new Records((int)spec.Number("areas"), (int)spec.Number("bytes")), (int)spec.Number("replicas"), spec["prefix"]);

    public Task<Turn> RunAsync(int operations, TimeSpan limit)
    {
        var clock = new TurnClock(operations, limit);
        while (clock.Begin())
        {
            Write();
            clock.End();
        }

        return Task.FromResult(clock.Done());
    }

    /// <summary>One operation: the caller's thread sleeps until it is answered.</summary>
    public void Write()
    {
        var several = _records.Areas > 1;
        if (several)
            _client.Append("MULTI"u8);
        for (var area = 0; area < _records.Areas; area++)
            _client.Append("SET"u8, _keys[_records.NextSlot()], _records.NextBytes());
        if (several)
            _client.Append("EXEC"u8);
        if (_replicas > 0)
            _client.Append("WAIT"u8, _replicasText, "10000"u8);
        _client.Flush();

        if (several)
        {
            // MULTI, and "QUEUED" for each command.
            for (var reply = 0; reply <= _records.Areas; reply++)
                _client.ReadOk();
            var executed = _client.ReadArray();
            if (executed != _records.Areas)
                throw new IOException($"Redis executed {executed} of {_records.Areas} commands.");
        }

        for (var area = 0; area < _records.Areas; area++)
            _client.ReadOk();
        if (_replicas > 0 && _client.ReadInteger() is var reached && reached < _replicas)
            throw new IOException($"A write of Redis reached {reached} of {_replicas} replicas within 10 s.");
    }

    public ValueTask DisposeAsync()
    {
        _client.Dispose();
        return ValueTask.CompletedTask;
    }
}
