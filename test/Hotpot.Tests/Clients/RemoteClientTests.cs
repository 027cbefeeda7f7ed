using System.Reflection;
using Hotpot.Clients;
using Hotpot.Grains;
using Hotpot.Runtime;
using Hotpot.Tests.Runtime;

namespace Hotpot.Tests.Clients;

/// <summary>What a process without a silo can do, against grains that misbehave on purpose.</summary>
public sealed class RemoteClientTests
{
    private static readonly NodeId s_good = new(1);
    private static readonly NodeId s_gone = new(2);

    private readonly DatasetDescription _description = EngineFixture.Describe(size: 4 << 20);
    private readonly byte[] _bytes = new byte[4 << 20];
    private readonly List<(NodeId Node, string Method, int Length)> _calls = [];
    private readonly HotpotClient _client;

    public RemoteClientTests() => _client = new HotpotClient(Stub<IGrainFactory>.Answering(GetGrain), node: null);

    [Fact]
    public async Task Reads_and_writes_travel_in_pieces_and_past_a_node_that_is_gone()
    {
        Dataset data = await _client.OpenAsync(_description.Name);
        byte[] written = new byte[(2 << 20) + 5];
        new Random(1).NextBytes(written);
        CommitResult result = await data.WriteAsync(100, written);
        Assert.Equal((written.Length, 3, 2), (result.Bytes, result.Attempts, result.Degree));
        Assert.Equal(written, await data.ReadAsync(100, written.Length));
        Assert.All(_calls, call => Assert.InRange(call.Length, 0, RemoteLimits.MaxBytes));
        Assert.Equal(3, _calls.Count(call => call == (s_good, "ReadAsync", call.Length)));
    }

    [Fact]
    public async Task What_needs_memory_says_that_there_is_no_silo()
    {
        Dataset data = await _client.OpenAsync(_description.Name);
        Assert.False(_client.HasSilo);
        Assert.Throws<NoSiloHereException>(() => data.Map());
        await Assert.ThrowsAsync<NoSiloHereException>(() => data.CommitAsync());
        await Assert.ThrowsAsync<NoSiloHereException>(() => data.AcquireAsync(new ByteRange(0, 1)));
        await Assert.ThrowsAsync<NoSiloHereException>(() => data.DiscardAsync());
        await Assert.ThrowsAsync<NoSiloHereException>(() => data.PrefetchAsync());
        await Assert.ThrowsAsync<NoSiloHereException>(() => _client.CommitAsync([data]));
    }

    [Fact]
    public async Task Requests_outside_the_dataset_never_leave_the_process()
    {
        Dataset data = await _client.OpenAsync(_description.Name);
        await Assert.ThrowsAsync<RangeOutsideDatasetException>(() => data.ReadAsync(data.Size, 1));
        await Assert.ThrowsAsync<RangeOutsideDatasetException>(() => data.WriteAsync(-1, new byte[1]));
        Assert.Empty(_calls);
    }

    [Fact]
    public async Task An_unknown_name_is_an_error_of_its_own()
    {
        await Assert.ThrowsAsync<DatasetNotFoundException>(() => _client.OpenAsync("other"));
        await Assert.ThrowsAsync<DatasetNotFoundException>(() => _client.StatAsync("other"));
        await Assert.ThrowsAsync<DatasetNotFoundException>(() => _client.RemoveAsync("other"));
    }

    [Fact]
    public async Task Stat_tells_members_that_did_not_answer()
    {
        DatasetStatus status = await _client.StatAsync(_description.Name);
        Assert.Equal(s_good, Assert.Single(status.Nodes).Node);
        Assert.Equal([s_gone], status.Unreachable);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(4095)]
    [InlineData(4097)]
    [InlineData(2048)]
    [InlineData(1L << 31)]
    [InlineData(-4096)]
    public async Task A_chunk_size_that_is_not_possible_is_refused(long chunkBytes) =>
        await Assert.ThrowsAsync<InvalidRequestException>(() => _client.CreateDatasetAsync("new", 1, new DatasetOptions { ChunkBytes = chunkBytes }));

    [Fact]
    public async Task Creating_is_repeated_under_one_request_while_the_cluster_changes()
    {
        Dataset data = await _client.CreateDatasetAsync("new", 4 << 20, new DatasetOptions { ChunkBytes = 1 << 16 });
        Assert.Equal(_description.Id, data.Id);
        Assert.Equal(2, _creates.Count);
        Assert.Equal(_creates[0].RequestId, _creates[1].RequestId);
        Assert.Equal(16, _creates[0].ChunkLog2);
    }

    [Theory]
    [InlineData("", 3)]
    [InlineData("b", 0)]
    public void A_barrier_needs_a_name_and_participants(string name, int participants) =>
        Assert.Throws<InvalidRequestException>(() => _client.Barrier(name, participants));

    [Fact]
    public async Task A_barrier_arrives_as_the_same_participant_every_time()
    {
        DistributedBarrier barrier = _client.Barrier("b", 3);
        Assert.Equal(1, await barrier.ArriveAndWaitAsync());
        Assert.Equal(2, await barrier.ArriveAndWaitAsync());
        Assert.Equal(_arrivals[0], _arrivals[1]);
        Assert.Equal((3, NodeId.None), (_arrivals[0].Participants, _arrivals[0].Node));
    }

    private readonly List<CreateDatasetRequest> _creates = [];
    private readonly List<BarrierArrival> _arrivals = [];

    private object GetGrain(MethodInfo method, object?[] arguments)
    {
        Type grain = method.GetGenericArguments()[0];
        string key = arguments.OfType<string>().First();
        return grain == typeof(INamespaceGrain) ? Stub<INamespaceGrain>.Answering(Namespace)
            : grain == typeof(IDatasetGrain) ? Stub<IDatasetGrain>.Answering(DatasetGrain)
            : grain == typeof(IBarrierGrain) ? Stub<IBarrierGrain>.Answering(Barrier)
            : Stub<INodeGrain>.Answering((called, given) => Node(NodeId.Parse(key), called, given));
    }

    private object? Namespace(MethodInfo method, object?[] arguments)
    {
        switch (method.Name)
        {
            case nameof(INamespaceGrain.FindAsync):
                return Task.FromResult((string)arguments[0]! == _description.Name ? _description : null);
            case nameof(INamespaceGrain.RemoveAsync):
                return Task.FromResult((string)arguments[0]! == _description.Name);
            case nameof(INamespaceGrain.CreateAsync):
                _creates.Add((CreateDatasetRequest)arguments[0]!);
                return _creates.Count == 1 ? Task.FromException<DatasetDescription>(new NodeUnavailableException("It is gone.")) : Task.FromResult(_description);
            default:
                throw new InvalidOperationException(method.Name);
        }
    }

    private static object? DatasetGrain(MethodInfo method, object?[] arguments) => method.Name switch
    {
        nameof(IDatasetGrain.GetHealthAsync) => Task.FromResult(new DatasetHealth { Members = [s_gone, s_good] }),
        _ => throw new InvalidOperationException(method.Name),
    };

    private object? Barrier(MethodInfo method, object?[] arguments)
    {
        _arrivals.Add((BarrierArrival)arguments[0]!);
        return Task.FromResult((long)_arrivals.Count);
    }

    private object? Node(NodeId node, MethodInfo method, object?[] arguments)
    {
        if (node == s_gone)
            return method.Name switch
            {
                nameof(INodeGrain.ReadAsync) => Task.FromException<byte[]>(new NodeUnavailableException("It is gone.")),
                nameof(INodeGrain.WriteAsync) => Task.FromException<CommitResult>(new NodeUnavailableException("It is gone.")),
                _ => Task.FromException<NodeDatasetStatus>(new NodeUnavailableException("It is gone.")),
            };
        switch (method.Name)
        {
            case nameof(INodeGrain.ReadAsync):
                (int from, int length) = ((int)(long)arguments[1]!, (int)arguments[2]!);
                _calls.Add((node, method.Name, length));
                return Task.FromResult(_bytes[from..(from + length)]);
            case nameof(INodeGrain.WriteAsync):
                byte[] bytes = (byte[])arguments[2]!;
                _calls.Add((node, method.Name, bytes.Length));
                bytes.CopyTo(_bytes, (int)(long)arguments[1]!);
                return Task.FromResult(new CommitResult { Degree = 2, Bytes = bytes.Length, Pages = 1, Owners = 1 });
            case nameof(INodeGrain.StatDatasetAsync):
                return Task.FromResult(new NodeDatasetStatus { Node = node, Statistics = default });
            default:
                throw new InvalidOperationException(method.Name);
        }
    }
}
