namespace Hotpot.Runtime;

/// <summary>The sender's chunk map is older than the receiver's.</summary>
[GenerateSerializer]
public sealed class StaleEpochException(string message) : HotpotException(message)
{
    public override HotpotStatus Status => HotpotStatus.StaleEpoch;
}

/// <summary>The node asked does not own the chunk at this epoch.</summary>
[GenerateSerializer]
public sealed class NotOwnerException(string message) : HotpotException(message)
{
    public override HotpotStatus Status => HotpotStatus.NotOwner;
}

/// <summary>The chunk has no owner yet.</summary>
[GenerateSerializer]
public sealed class NotAssignedException(string message) : HotpotException(message)
{
    public override HotpotStatus Status => HotpotStatus.NotAssigned;
}

/// <summary>The pages are locked by another commit, or the chunk is recovering.</summary>
[GenerateSerializer]
public sealed class BusyException(string message) : HotpotException(message)
{
    public override HotpotStatus Status => HotpotStatus.Busy;
}

/// <summary>The transaction was aborted at a participant, so it will never commit.</summary>
[GenerateSerializer]
public sealed class TransactionRefusedException(string message) : HotpotException(message)
{
    public override HotpotStatus Status => HotpotStatus.Refused;
}

/// <summary>Another commit changed the same bytes first; nothing of this commit was applied.</summary>
[GenerateSerializer]
public sealed class ConflictException(string message) : HotpotException(message)
{
    public override HotpotStatus Status => HotpotStatus.Conflict;
}

/// <summary>The commit was under way when its participants became unreachable; it may have happened or not.</summary>
[GenerateSerializer]
public sealed class OutcomeUnknownException(string message) : HotpotException(message)
{
    public override HotpotStatus Status => HotpotStatus.OutcomeUnknown;
}

/// <summary>
/// Fewer nodes hold the bytes durably than were asked for. <see cref="Committed"/> says whether the commit happened all
/// the same, at the lower degree, or not at all.
/// </summary>
[GenerateSerializer]
public sealed class DegreeException(string message) : HotpotException(message)
{
    public DegreeException(int reached, int asked, bool committed)
        : this(Sentence(reached, asked, committed))
    {
        Reached = reached;
        Asked = asked;
        Committed = committed;
    }

    /// <summary>How many nodes hold, or could have held, the bytes.</summary>
    [Id(0)] public int Reached { get; set; }

    /// <summary>How many were asked for.</summary>
    [Id(1)] public int Asked { get; set; }

    /// <summary>True when the commit is done and visible, at the degree reached.</summary>
    [Id(2)] public bool Committed { get; set; }

    public override HotpotStatus Status => HotpotStatus.Degree;

    private static string Sentence(int reached, int asked, bool committed) => committed
        ? $"The commit is done, but only {reached} of the {asked} nodes asked for hold it durably; start the missing silos so that it is copied to them."
        : $"The commit was not carried out because only {reached} of the {asked} nodes asked for are reachable; start the missing silos or ask for fewer.";
}
