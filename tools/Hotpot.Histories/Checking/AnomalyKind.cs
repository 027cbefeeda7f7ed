namespace Hotpot.Histories.Checking;

/// <summary>The names of broken promises. Those of transactions are Adya's, as used by Elle.</summary>
public enum AnomalyKind
{
    /// <summary>No order of a register's operations explains what was read.</summary>
    NonLinearizable,

    /// <summary>A read returned what nobody wrote.</summary>
    GarbageRead,

    /// <summary>A list holds an element twice.</summary>
    DuplicateElement,

    /// <summary>Two reads of a list are not prefixes of each other, or a transaction's appends stand in the wrong order.</summary>
    IncompatibleOrder,

    /// <summary>A transaction did not see what it had itself read or appended before.</summary>
    Internal,

    /// <summary>A later read does not show an acknowledged write.</summary>
    LostWrite,

    /// <summary>A read that began after a write was acknowledged does not show it, though others do.</summary>
    StaleRead,

    /// <summary>A part of a transaction is there and another is not.</summary>
    PartialTransaction,

    /// <summary>Aborted read: what a failed transaction wrote was read.</summary>
    G1a,

    /// <summary>Intermediate read: what a transaction wrote on its way was read as its result.</summary>
    G1b,

    /// <summary>Cycle of writes that overwrite each other.</summary>
    G0,

    /// <summary>Cycle of writes and reads of what was written.</summary>
    G1c,

    /// <summary>Cycle with exactly one read of what was overwritten.</summary>
    GSingle,

    /// <summary>Cycle with several reads of what was overwritten.</summary>
    G2,

    /// <summary>As <see cref="G0"/>, when what ended before something else began comes before it.</summary>
    G0RealTime,

    /// <summary>As <see cref="G1c"/>, in real time.</summary>
    G1cRealTime,

    /// <summary>As <see cref="GSingle"/>, in real time.</summary>
    GSingleRealTime,

    /// <summary>As <see cref="G2"/>, in real time.</summary>
    G2RealTime,

    /// <summary>The accounts of a bank do not hold its total.</summary>
    WrongTotal,

    /// <summary>A counter shows more than was ever added.</summary>
    TooMuch,

    /// <summary>A counter went down.</summary>
    Decreasing,
}
