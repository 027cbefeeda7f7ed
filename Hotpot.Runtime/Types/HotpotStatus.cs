namespace Hotpot.Runtime;

/// <summary>
/// Why something did not succeed. Values below 100 are those of hp_status in hotpot.h; values from 100 on are decided by
/// managed code. A status is what a program branches on; the sentence for a person is in the exception.
/// </summary>
public enum HotpotStatus
{
    Ok = 0,
    Invalid = 1,
    NotFound = 2,
    Range = 3,
    NotMapped = 4,
    AddressInUse = 5,
    UserfaultfdDenied = 6,
    NoMemory = 7,
    DiskFull = 8,
    Io = 9,
    Corrupt = 10,
    Poisoned = 11,
    StaleEpoch = 12,
    NotOwner = 13,
    PeerLost = 14,
    Timeout = 15,
    Unreachable = 16,
    Conflict = 17,
    Degree = 18,
    Busy = 19,
    Refused = 20,
    Limit = 21,
    Version = 22,
    ClusterKey = 23,
    NodeInUse = 24,
    Closed = 25,
    NotAssigned = 26,
    BufferInView = 27,
    NameInUse = 28,

    Failed = 100,
    InvalidName = 101,
    DatasetExists = 102,
    NodeUnavailable = 103,
    AlreadyAcquired = 104,
    NotAcquired = 105,
    BarrierBroken = 106,
    NoSiloHere = 107,
    Configuration = 108,
    OutcomeUnknown = 109,
    UpgradeConflict = 110,
}
