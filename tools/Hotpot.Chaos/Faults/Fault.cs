using System.Globalization;

namespace Hotpot.Chaos.Faults;

/// <summary>What is done to the nodes.</summary>
internal enum FaultKind
{
    /// <summary>SIGKILL, and a restart with the data.</summary>
    Kill,

    /// <summary>SIGKILL for two at the same moment.</summary>
    KillTwo,

    /// <summary>SIGKILL for one, and for another while the rest recovers from the first.</summary>
    KillDuringRecovery,

    /// <summary>SIGKILL for all at the same moment.</summary>
    KillAll,

    /// <summary>SIGSTOP until the others have declared the node dead, then SIGCONT: it must notice and end by itself.</summary>
    Stop,

    /// <summary>SIGSTOP for less time than it takes to be declared dead, then SIGCONT: nothing may come of it.</summary>
    Pause,

    /// <summary>SIGKILL, and a restart without the data, of as many nodes as leave one copy.</summary>
    LoseDirectory,

    /// <summary>SIGTERM and a restart, one node after the other.</summary>
    RollingRestart,

    /// <summary>The data path of one node reaches nobody for a while.</summary>
    Partition,
}

/// <summary>One fault of a plan.</summary>
/// <param name="Pause">What passes before it.</param>
/// <param name="Nodes">Whom it meets, in this order.</param>
/// <param name="Hold">How long it lasts: until the restart, SIGCONT or the end of the partition.</param>
/// <param name="Gap">Between the first and the second node, where they are not met at once.</param>
internal sealed record Fault(FaultKind Kind, TimeSpan Pause, int[] Nodes, TimeSpan Hold, TimeSpan Gap)
{
    public override string ToString() =>
        string.Create(CultureInfo.InvariantCulture, $"{Kind} of node {string.Join(", ", Nodes)} for {Hold.TotalMilliseconds:0} ms");
}
