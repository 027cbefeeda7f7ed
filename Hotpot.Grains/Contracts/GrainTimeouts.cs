namespace Hotpot.Grains;

/// <summary>How long callers wait for calls that may take longer than the host's default.</summary>
internal static class GrainTimeouts
{
    /// <summary>Calls that wait for every member, or copy chunks. All of them may be repeated after it.</summary>
    public const string Long = "00:02:00";

    /// <summary>Calls that carry a time-out of their own; this one only has to be longer than any that makes sense.</summary>
    public const string CallersOwn = "1.00:00:00";
}
