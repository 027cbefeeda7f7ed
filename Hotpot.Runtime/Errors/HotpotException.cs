namespace Hotpot.Runtime;

/// <summary>
/// The base of every error that Hotpot reports to its user. The message is one sentence that says what happened and what
/// to do. Every subclass can be thrown by a grain and caught by its caller, on both actor hosts.
/// </summary>
[GenerateSerializer]
public class HotpotException : Exception
{
    public HotpotException(string message)
        : base(message)
    {
    }

    public HotpotException(string message, Exception inner)
        : base(message, inner)
    {
    }

    /// <summary>What a program branches on. It follows from the type, so it is not serialised.</summary>
    public virtual HotpotStatus Status => HotpotStatus.Failed;

    /// <summary>Makes the exception that belongs to a native status.</summary>
    public static HotpotException From(HotpotStatus status, string message) => status switch
    {
        HotpotStatus.Invalid => new InvalidRequestException(message),
        HotpotStatus.NotFound => new DatasetNotFoundException(message),
        HotpotStatus.Range => new RangeOutsideDatasetException(message),
        HotpotStatus.NotMapped => new NotMappedException(message),
        HotpotStatus.AddressInUse => new AddressInUseException(message),
        HotpotStatus.UserfaultfdDenied => new UserfaultfdDeniedException(message),
        HotpotStatus.NoMemory => new NativeMemoryException(message),
        HotpotStatus.DiskFull => new DiskFullException(message),
        HotpotStatus.Io => new StorageException(message),
        HotpotStatus.Corrupt => new CorruptLogException(message),
        HotpotStatus.Poisoned => new LogPoisonedException(message),
        HotpotStatus.StaleEpoch => new StaleEpochException(message),
        HotpotStatus.NotOwner => new NotOwnerException(message),
        HotpotStatus.PeerLost => new PeerLostException(message),
        HotpotStatus.Timeout => new HotpotTimeoutException(message),
        HotpotStatus.Unreachable => new PageUnreachableException(message),
        HotpotStatus.Conflict => new ConflictException(message),
        HotpotStatus.Degree => new DegreeException(message),
        HotpotStatus.Busy => new BusyException(message),
        HotpotStatus.Refused => new TransactionRefusedException(message),
        HotpotStatus.Limit => new LimitReachedException(message),
        HotpotStatus.Version => new VersionMismatchException(message),
        HotpotStatus.ClusterKey => new ClusterKeyException(message),
        HotpotStatus.NodeInUse => new NodeInUseException(message),
        HotpotStatus.Closed => new EngineClosedException(message),
        HotpotStatus.NotAssigned => new NotAssignedException(message),
        HotpotStatus.BufferInView => new BufferInViewException(message),
        HotpotStatus.NameInUse => new DatasetMismatchException(message),
        HotpotStatus.NodeUnavailable => new NodeUnavailableException(message),
        HotpotStatus.OutcomeUnknown => new OutcomeUnknownException(message),
        _ => new HotpotException(message),
    };

    /// <summary>
    /// The sentence for a status that arrived without one: a completion of the native side carries only a number.
    /// </summary>
    public static string Explain(HotpotStatus status) => status switch
    {
        HotpotStatus.Invalid => "the request does not fit the state it met; this is a defect of the caller",
        HotpotStatus.NotFound => "it is unknown here; open the dataset or stage the transaction first",
        HotpotStatus.DiskFull => "the data directory is full; free space on its file system and try again",
        HotpotStatus.Io => "the data directory could not be read or written; see the kernel log for the device's error",
        HotpotStatus.Corrupt => "the log is damaged; restore this node from a replica",
        HotpotStatus.Poisoned => "an earlier write to the log failed, so nothing is acknowledged any more; restart the silo",
        HotpotStatus.StaleEpoch => "the chunk map used is older than the owner's; fetch the new map and try again",
        HotpotStatus.NotOwner => "the node asked does not own the chunk any more; fetch the new map and try again",
        HotpotStatus.PeerLost => "the connection to the peer broke, so its answer is unknown; ask for the outcome",
        HotpotStatus.Timeout => "no answer came in time; try again with a longer time-out",
        HotpotStatus.Unreachable => "neither the owner nor a replica could serve the page in time; start the missing silos",
        HotpotStatus.Conflict => "another commit changed the same bytes first and nothing was applied; read again and repeat",
        HotpotStatus.Degree => "fewer replicas are reachable than asked for; start the missing silos or ask for fewer",
        HotpotStatus.Busy => "another commit holds the pages, or the chunk is recovering; try again shortly",
        HotpotStatus.Refused => "the transaction was aborted and will never commit; start a new one",
        HotpotStatus.Limit => "a stated bound was reached; split the work into smaller pieces",
        HotpotStatus.Closed => "the silo is shutting down; use another one",
        HotpotStatus.NotAssigned => "the chunk has no owner yet; assign it first",
        _ => $"it failed with status {status}; see the silo's log",
    };
}
