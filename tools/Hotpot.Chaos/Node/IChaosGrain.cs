using Hotpot.Histories;

namespace Hotpot.Chaos.Node;

/// <summary>
/// The application on one node: its key is the node's id, and it runs there, where the datasets are mapped. Every call answers with what is known of its end;
/// a call that ends in an exception has an unknown one.
/// </summary>
[Alias("hotpot.chaos.IChaosGrain")]
public interface IChaosGrain : IGrainWithStringKey
{
    /// <summary>Gives accounts their first balance, and so this node the chunks.</summary>
    [Alias("OpenAccounts")]
    [ResponseTimeout("00:01:00")]
    Task<Reply> OpenAccountsAsync(int[] accounts, long balance);

    /// <summary>Takes from one account and adds to another, in one commit that fails if either has changed meanwhile.</summary>
    [Alias("Transfer")]
    [ResponseTimeout("00:00:40")]
    Task<Reply> TransferAsync(int from, int to, long amount);

    /// <summary>All balances at one moment: a commit that marks every account proves that none has changed meanwhile.</summary>
    [Alias("Audit")]
    [ResponseTimeout("00:00:40")]
    Task<Reply> AuditAsync();

    /// <summary>Appends one element to each list in one commit; answers with the lists as they were before.</summary>
    [Alias("Append")]
    [ResponseTimeout("00:00:40")]
    Task<Reply> AppendAsync(int[] lists, long element);

    /// <summary>Several lists at one moment, in the way of <see cref="AuditAsync"/>.</summary>
    [Alias("Snapshot")]
    [ResponseTimeout("00:00:40")]
    Task<Reply> SnapshotAsync(int[] lists);

    /// <summary>One list by plain loads.</summary>
    [Alias("LoadList")]
    [ResponseTimeout("00:00:40")]
    Task<Reply> LoadListAsync(int list);

    /// <summary>Stores a counter's new value in a page that every client of every node stores into.</summary>
    [Alias("Count")]
    [ResponseTimeout("00:00:40")]
    Task<Reply> CountAsync(int page, int slot, long value);

    /// <summary>The counters of a page, as committed.</summary>
    [Alias("ReadCounters")]
    [ResponseTimeout("00:00:40")]
    Task<Reply> ReadCountersAsync(int page, int slots);

    /// <summary>Acquires a register exclusively, stores, commits, releases.</summary>
    [Alias("WriteRegister")]
    [ResponseTimeout("00:00:40")]
    Task<Reply> WriteRegisterAsync(int register, long value);

    /// <summary>Acquires a register for reading, loads, releases.</summary>
    [Alias("ReadRegister")]
    [ResponseTimeout("00:00:40")]
    Task<Reply> ReadRegisterAsync(int register);

    /// <summary>Committed bytes of this node by plain loads, after everything uncommitted there has been discarded.</summary>
    [Alias("Dump")]
    [ResponseTimeout("00:01:00")]
    Task<byte[]> DumpAsync(string dataset, long offset, int length);
}

/// <summary>What is known of an operation's end.</summary>
[GenerateSerializer]
[Immutable]
[Alias("hotpot.chaos.Reply")]
public sealed record Reply
{
    [Id(0)] public required Outcome Outcome { get; init; }

    /// <summary>What was read, an array for each object.</summary>
    [Id(1)] public long[][] Reads { get; init; } = [];

    /// <summary>Why it is not ok.</summary>
    [Id(2)] public string? Reason { get; init; }

    /// <summary>Something that no outcome excuses: a page that stays torn.</summary>
    [Id(3)] public string? Anomaly { get; init; }

    /// <summary>How the commit went.</summary>
    [Id(4)] public string? Commit { get; init; }

    public static Reply Ok(long[][] reads) => new() { Outcome = Outcome.Ok, Reads = reads };

    public static Reply Failed(string reason) => new() { Outcome = Outcome.Fail, Reason = reason };
}
