namespace Hotpot.Clients;

/// <summary>The result of a write that took several transactions: sums, and the smallest degree of any.</summary>
internal sealed class WriteTotal
{
    public CommitResult Result { get; private set; } = new() { Degree = 0, Bytes = 0, Pages = 0, Owners = 0, Attempts = 0 };

    public void Add(CommitResult piece) => Result = new CommitResult
    {
        Degree = Result.Attempts == 0 ? piece.Degree : Math.Min(Result.Degree, piece.Degree),
        Bytes = Result.Bytes + piece.Bytes,
        Pages = Result.Pages + piece.Pages,
        Owners = Math.Max(Result.Owners, piece.Owners),
        Attempts = Result.Attempts + piece.Attempts,
    };
}
