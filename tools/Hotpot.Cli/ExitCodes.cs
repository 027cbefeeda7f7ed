namespace Hotpot.Cli;

/// <summary>What a script that calls ./hotpot can branch on.</summary>
internal static class ExitCodes
{
    public const int Done = 0;
    public const int Failed = 1;

    /// <summary>The command line, or a value in it, is wrong.</summary>
    public const int Usage = 2;

    /// <summary>The dataset, file or cluster named does not exist.</summary>
    public const int NotFound = 3;

    /// <summary>No silo answers, or not enough of them; the same command may succeed later.</summary>
    public const int Unavailable = 4;

    public const string Help = "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 unavailable.";
}
