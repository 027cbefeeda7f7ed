namespace Hotpot.Runtime;

/// <summary>
/// How an asynchronous call of the engine ended. Statuses such as <see cref="HotpotStatus.Busy"/> are part of a commit's
/// ordinary course, so they are values here; <see cref="ThrowIfFailed"/> turns one into its exception.
/// </summary>
public readonly record struct Completion(HotpotStatus Status, int Degree, ulong Value, string? Message = null)
{
    public bool Succeeded => Status == HotpotStatus.Ok;

    /// <summary><paramref name="what"/> begins the sentence when the engine gave none, for example "Preparing 12-3 failed".</summary>
    public void ThrowIfFailed(string what)
    {
        if (Status != HotpotStatus.Ok)
            throw ToException(what);
    }

    public HotpotException ToException(string what) =>
        HotpotException.From(Status, Message ?? Interop.NativeStatus.Sentence(Status, what));
}
