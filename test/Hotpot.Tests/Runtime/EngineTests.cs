using Hotpot.Runtime;

namespace Hotpot.Tests.Runtime;

/// <summary>The managed face against the real library, in one process.</summary>
public sealed class EngineTests : IAsyncLifetime
{
    private readonly EngineFixture _fixture = new();

    public Task InitializeAsync() => Task.CompletedTask;

    public async Task DisposeAsync() => await _fixture.DisposeAsync();

    [Fact]
    public async Task A_data_directory_keeps_its_node_and_counts_its_starts()
    {
        Engine first = _fixture.Start();
        (NodeId node, Incarnation incarnation) = (first.NodeId, first.Incarnation);
        Assert.False(node.IsNone);
        Assert.StartsWith("127.0.0.1:", first.Info.FabricAddress);
        await first.DisposeAsync();

        Engine second = _fixture.Start();
        Assert.Equal(node, second.NodeId);
        Assert.Equal(new Incarnation(incarnation.Value + 1), second.Incarnation);
    }

    [Fact]
    public void A_data_directory_belongs_to_one_engine()
    {
        _fixture.Start();
        NodeInUseException refusal = Assert.Throws<NodeInUseException>(() => _fixture.Start());
        Assert.Contains(_fixture.Directory, refusal.Message);
    }

    [Fact]
    public async Task Stores_are_found_committed_and_there_after_a_restart()
    {
        DatasetDescription dataset = EngineFixture.Describe();
        Engine engine = _fixture.Start();
        EngineFixture.OpenOwned(engine, dataset);
        Assert.Equal((nint)dataset.BaseAddress, engine.MapView(dataset.Id, writable: true));
        Store(dataset, 5000, 42);

        using (Transaction transaction = engine.CreateTransaction())
        {
            Assert.Equal(1, transaction.Collect(dataset.Id, []));
            TransactionPart part = Assert.Single(transaction.Parts());
            Assert.Equal((dataset.Id, new ChunkIndex(0), engine.NodeId, 1), (part.Dataset, part.Chunk, part.Owner, part.Pages));
            Assert.Equal(1, (await EngineFixture.CommitAsync(engine, transaction, dataset.Id)).Degree);
        }
        Assert.Equal(42, Read(engine, dataset.Id, 5000));
        engine.UnmapView(dataset.Id);
        await engine.DisposeAsync();

        Engine restarted = _fixture.Start();
        restarted.OpenDataset(dataset);
        Assert.Equal(42, Read(restarted, dataset.Id, 5000));
    }

    [Fact]
    public void Discarded_stores_are_gone()
    {
        DatasetDescription dataset = EngineFixture.Describe();
        Engine engine = _fixture.Start();
        EngineFixture.OpenOwned(engine, dataset);
        engine.MapView(dataset.Id, writable: true);
        Store(dataset, 0, 1);
        Store(dataset, Limits.PageBytes, 2);

        engine.Discard(dataset.Id, [new ByteRange(0, 1)]);
        Assert.Equal((0, 2), (Load(dataset, 0), Load(dataset, Limits.PageBytes)));
        using Transaction transaction = engine.CreateTransaction();
        Assert.Equal(1, transaction.Collect(dataset.Id, []));
    }

    [Fact]
    public async Task A_committed_page_reaches_another_node_by_a_load()
    {
        DatasetDescription dataset = EngineFixture.Describe();
        Engine owner = _fixture.Start(subdirectory: "owner");
        Engine reader = _fixture.Start(subdirectory: "reader");
        Connect(owner, reader);
        EngineFixture.OpenOwned(owner, dataset);
        reader.OpenDataset(dataset);
        reader.ApplyMap(dataset.Id, [.. Enumerable.Range(0, (int)dataset.ChunkCount).Select(chunk => EngineFixture.Entry((uint)chunk, owner))]);
        await EngineFixture.WriteAsync(owner, dataset.Id, 12345, [7, 8, 9]);

        reader.MapView(dataset.Id, writable: false);
        Assert.Equal(8, Load(dataset, 12346));
        Assert.True(reader.Statistics().Misses > 0);
        Assert.True(reader.IsPeerConnected(owner.NodeId));

        // The reader holds the page now, so a later commit must reach it before the committer is told.
        await EngineFixture.WriteAsync(owner, dataset.Id, 12346, [80]);
        Assert.Equal(80, Load(dataset, 12346));
    }

    [Fact]
    public void A_dataset_is_mapped_at_its_address_or_not_at_all()
    {
        DatasetDescription dataset = EngineFixture.Describe();
        Engine first = _fixture.Start(subdirectory: "first");
        Engine second = _fixture.Start(subdirectory: "second");
        first.OpenDataset(dataset);
        second.OpenDataset(dataset);
        first.MapView(dataset.Id, writable: true);
        AddressInUseException refusal = Assert.Throws<AddressInUseException>(() => second.MapView(dataset.Id, writable: true));
        Assert.Contains(dataset.BaseAddress.ToString("x"), refusal.Message);
    }

    [Fact]
    public void Wrong_requests_are_told_apart()
    {
        DatasetDescription dataset = EngineFixture.Describe();
        Engine engine = _fixture.Start();
        Assert.Throws<DatasetNotFoundException>(() => Read(engine, dataset.Id, 0));
        EngineFixture.OpenOwned(engine, dataset);
        Assert.Throws<RangeOutsideDatasetException>(() => Read(engine, dataset.Id, dataset.Size));
        using Transaction transaction = engine.CreateTransaction();
        Assert.Throws<NotMappedException>(() => transaction.Collect(dataset.Id, []));
        Assert.Throws<RangeOutsideDatasetException>(() => transaction.Write(dataset.Id, dataset.Size - 1, [1, 2]));
        Assert.Throws<DatasetMismatchException>(() => engine.OpenDataset(dataset with { Size = dataset.Size * 2 }));
    }

    [Fact]
    public unsafe void A_buffer_inside_a_view_is_refused()
    {
        DatasetDescription dataset = EngineFixture.Describe();
        Engine engine = _fixture.Start();
        EngineFixture.OpenOwned(engine, dataset);
        engine.MapView(dataset.Id, writable: true);
        Assert.Throws<BufferInViewException>(() =>
            engine.Read(dataset.Id, 0, new Span<byte>((void*)dataset.BaseAddress, 16), EngineFixture.Patience));
    }

    [Fact]
    public async Task A_transaction_that_was_never_staged_is_refused_for_ever()
    {
        DatasetDescription dataset = EngineFixture.Describe();
        Engine engine = _fixture.Start();
        EngineFixture.OpenOwned(engine, dataset);
        using Transaction transaction = engine.CreateTransaction();
        transaction.Write(dataset.Id, 0, [1]);

        Completion unknown = await engine.PrepareAsync(transaction.Id, dataset.Id, false, 1, EngineFixture.Patience);
        Assert.Equal(HotpotStatus.NotFound, unknown.Status);
        Completion staged = await transaction.StageAsync(dataset.Id, engine.NodeId);
        Completion again = staged.Succeeded ? await engine.PrepareAsync(transaction.Id, dataset.Id, false, 1, EngineFixture.Patience) : staged;
        Assert.Equal(HotpotStatus.Refused, again.Status);
        Assert.Throws<TransactionRefusedException>(() => again.ThrowIfFailed("Preparing failed"));
    }

    [Fact]
    public async Task A_prepared_transaction_is_pending_until_it_is_settled()
    {
        DatasetDescription dataset = EngineFixture.Describe();
        Engine engine = _fixture.Start();
        EngineFixture.OpenOwned(engine, dataset);
        using Transaction transaction = engine.CreateTransaction();
        transaction.Write(dataset.Id, 0, [5]);
        (await transaction.StageAsync(dataset.Id, engine.NodeId)).ThrowIfFailed("Staging failed");
        (await engine.PrepareAsync(transaction.Id, dataset.Id, false, 1, EngineFixture.Patience)).ThrowIfFailed("Preparing failed");

        TransactionParticipant participant = Assert.Single(engine.Pending());
        Assert.Equal((transaction.Id, dataset.Id, true), (participant.Transaction, participant.Dataset, participant.PreparedHere));
        Assert.Equal(1, Assert.Single(engine.ChunkStates(dataset.Id), state => state.Pending > 0).Pending);
        Assert.Equal(TransactionOutcome.Prepared, engine.Outcome(transaction.Id, dataset.Id, new ChunkIndex(0), OutcomeQuestion.Look));

        engine.Settle(transaction.Id, commit: true);
        Assert.Empty(engine.Pending());
        Assert.Equal(TransactionOutcome.Committed, engine.Outcome(transaction.Id, dataset.Id, new ChunkIndex(0), OutcomeQuestion.Look));
        Assert.Equal(5, Read(engine, dataset.Id, 0));
    }

    [Fact]
    public async Task Many_calls_in_flight_each_get_their_own_completion()
    {
        DatasetDescription dataset = EngineFixture.Describe();
        Engine engine = _fixture.Start(Medium.Memory);
        EngineFixture.OpenOwned(engine, dataset);

        // Even commits go to the engine; odd ones are prepared without having been staged, so each call knows its own answer.
        async Task<bool> RunAsync(int i)
        {
            using Transaction transaction = engine.CreateTransaction();
            transaction.Write(dataset.Id, i, [(byte)i]);
            if (i % 2 == 0)
                (await transaction.StageAsync(dataset.Id, engine.NodeId)).ThrowIfFailed("Staging failed");
            Completion prepared = await engine.PrepareAsync(transaction.Id, dataset.Id, false, 1, EngineFixture.Patience);
            if (i % 2 != 0)
                return prepared.Status == HotpotStatus.NotFound;
            return prepared.Succeeded && (await engine.CommitAsync(transaction.Id, dataset.Id)).Succeeded;
        }

        bool[] results = await Task.WhenAll(Enumerable.Range(0, 500).Select(i => Task.Run(() => RunAsync(i)))).WaitAsync(EngineFixture.Patience * 3);
        Assert.All(results, Assert.True);
        Assert.Equal(0, engine.StrayCompletions);
        byte[] bytes = new byte[500];
        engine.Read(dataset.Id, 0, bytes, EngineFixture.Patience);
        Assert.All(bytes.Index(), pair => Assert.Equal(pair.Index % 2 == 0 ? (byte)pair.Index : 0, pair.Item));
    }

    [Fact]
    public async Task What_is_asked_of_a_stopped_engine_ends()
    {
        DatasetDescription dataset = EngineFixture.Describe();
        Engine engine = _fixture.Start();
        EngineFixture.OpenOwned(engine, dataset);
        using Transaction transaction = engine.CreateTransaction();
        await engine.DisposeAsync();
        Completion completion = await engine.CommitAsync(transaction.Id, dataset.Id).AsTask().WaitAsync(EngineFixture.Patience);
        Assert.Equal(HotpotStatus.Closed, completion.Status);
    }

    private static void Connect(Engine one, Engine other)
    {
        one.SetPeer(other.NodeId, other.Incarnation, other.Info.FabricAddress);
        other.SetPeer(one.NodeId, one.Incarnation, one.Info.FabricAddress);
    }

    private static byte Read(Engine engine, DatasetId dataset, long offset)
    {
        byte[] one = new byte[1];
        engine.Read(dataset, offset, one, EngineFixture.Patience);
        return one[0];
    }

    private static unsafe void Store(DatasetDescription dataset, long offset, byte value) => Volatile.Write(ref *((byte*)dataset.BaseAddress + offset), value);

    private static unsafe byte Load(DatasetDescription dataset, long offset) => Volatile.Read(ref *((byte*)dataset.BaseAddress + offset));
}
