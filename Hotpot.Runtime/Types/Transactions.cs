namespace Hotpot.Runtime;

/// <summary>One chunk that a transaction changes, and who owns it by this node's map (hp_tx_part).</summary>
[GenerateSerializer]
public readonly record struct TransactionPart
{
    [Id(0)] public DatasetId Dataset { get; init; }

    [Id(1)] public ChunkIndex Chunk { get; init; }

    /// <summary><see cref="NodeId.None"/> when the chunk is not assigned, or nobody can own it now.</summary>
    [Id(2)] public NodeId Owner { get; init; }

    [Id(3)] public Epoch Epoch { get; init; }

    [Id(4)] public int Pages { get; init; }
}

/// <summary>One chunk of a transaction that is prepared and undecided on a node (hp_tx_participant).</summary>
[GenerateSerializer]
public readonly record struct TransactionParticipant
{
    [Id(0)] public TransactionId Transaction { get; init; }

    [Id(1)] public DatasetId Dataset { get; init; }

    [Id(2)] public ChunkIndex Chunk { get; init; }

    /// <summary>The record of this chunk is prepared on the node that answered.</summary>
    [Id(3)] public bool PreparedHere { get; init; }
}

/// <summary>How a node is asked for an outcome (hp_ask).</summary>
public enum OutcomeQuestion
{
    /// <summary>Changes nothing.</summary>
    Look = 0,

    /// <summary>What is not prepared there is refused for ever, durably.</summary>
    Refuse = 1,

    /// <summary>What is prepared there is from now on decided by recovery alone; its commit node cannot abort it any more.</summary>
    Claim = 2,

    /// <summary>
    /// The commit node's question: as <see cref="Refuse"/>, and <see cref="TransactionOutcome.Prepared"/> until the part has ended on the node that is
    /// asked, whatever it knows from other chunks of the transaction.
    /// </summary>
    End = 3,
}

/// <summary>What a node knows about a transaction's part on one chunk (hp_outcome).</summary>
public enum TransactionOutcome
{
    Unknown = 0,

    /// <summary>Durable at a replica; at the owner: durable at every replica.</summary>
    Prepared = 1,
    Committed = 2,
    Aborted = 3,
}
