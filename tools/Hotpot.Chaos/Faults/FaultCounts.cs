namespace Hotpot.Chaos.Faults;

/// <summary>What was done to the nodes. Written by the fault runner, one fault after the other.</summary>
internal sealed class FaultCounts
{
    /// <summary>Processes ended with SIGKILL.</summary>
    public int Kills { get; set; }

    public int Partitions { get; set; }

    /// <summary>SIGSTOPs, long and short.</summary>
    public int Stops { get; set; }

    public int RollingRestarts { get; set; }

    public int LostDirectories { get; set; }

    /// <summary>Processes that ended by themselves because the others had declared them dead.</summary>
    public int Fenced { get; set; }

    /// <summary>Faults that could not be carried out: no network, or copies were still missing.</summary>
    public int Skipped { get; set; }
}
