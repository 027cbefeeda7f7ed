namespace Hotpot.Tests.Grains.Cluster;

/// <summary>What a node keeps when its process dies. Guarded by the fabric's lock.</summary>
internal sealed class FakeDisk(NodeId node)
{
    public NodeId Node { get; } = node;

    public ulong Incarnation { get; set; }

    public Dictionary<DatasetId, DatasetDescription> Datasets { get; } = [];

    public Dictionary<(DatasetId Dataset, ChunkIndex Chunk), FakeChunk> Chunks { get; } = [];

    /// <summary>Prepared and undecided, as owner or as replica; several owners of one transaction may have this node as their replica.</summary>
    public Dictionary<(TransactionId Transaction, DatasetId Dataset, NodeId Owner), FakeRecord> Pending { get; } = [];

    public Dictionary<(TransactionId, DatasetId), TransactionOutcome> Outcomes { get; } = [];
}

internal sealed class FakeChunk(long size)
{
    // Only chunks that were written to take memory, so that large maps fit the tests.
    private byte[]? _bytes;

    public bool Held { get; set; }

    public bool Complete { get; set; }

    public Epoch Epoch { get; set; }

    public ulong Sequence { get; set; }

    public byte[] Bytes => _bytes ??= new byte[size];

    public void CopyFrom(FakeChunk source)
    {
        _bytes = (byte[]?)source._bytes?.Clone();
        Sequence = source.Sequence;
        Complete = true;
    }
}

/// <summary>One participant's part of a transaction.</summary>
internal sealed record FakeRecord(
    TransactionId Transaction, DatasetId Dataset, IReadOnlyList<FakePart> Parts, IReadOnlyList<(DatasetId Dataset, ChunkIndex Chunk)> Participants);

internal sealed record FakePart(ChunkIndex Chunk, Epoch Epoch, ulong Sequence, IReadOnlyList<(int Offset, byte[] Bytes)> Writes);

/// <summary>
/// The links between the engines of a test cluster, and the one lock under which all of them work: a step of the protocol is one turn, and what the tests vary is
/// who dies between two steps.
/// </summary>
internal sealed class FakeFabric
{
    private readonly Dictionary<NodeId, FakeEngine> _engines = [];

    public Lock Turn { get; } = new();

    /// <summary>Called between the steps of owners, outside the lock, with the name of the point.</summary>
    public Func<string, NodeId, Task> AtPoint { get; set; } = (_, _) => Task.CompletedTask;

    /// <summary>Owners go on with what is staged there together with others. Written by the test, before it commits.</summary>
    public bool GatesAreOpen { get; set; }

    public void Attach(FakeEngine engine) => _engines[engine.Identity.Node] = engine;

    /// <summary>Null when there is no link between the two: one is dead, or has not been told of the other's present life.</summary>
    public FakeEngine? Link(FakeEngine from, NodeId to)
    {
        if (to == from.Identity.Node)
            return from;
        return _engines.TryGetValue(to, out FakeEngine? engine) && from.IsAlive && engine.IsAlive && from.Knows(engine.Identity) && engine.Knows(from.Identity)
            ? engine
            : null;
    }

    public FakeEngine Get(NodeId node) => _engines[node];
}
