namespace Hotpot.TestSilo;

/// <summary>One request at a time.</summary>
public interface ITurnGrain : IGrainWithStringKey
{
    /// <summary>Reads, gives the turn away, writes. Loses counts when turns overlap.</summary>
    Task<int> AddSlowlyAsync();

    /// <summary>Waits until <see cref="OpenAsync"/> is called.</summary>
    Task<string> WaitForGateAsync();

    [AlwaysInterleave]
    Task OpenAsync();

    [AlwaysInterleave]
    Task<bool> IsWaitingAsync();

    /// <summary>Cannot run while a request waits at the gate.</summary>
    Task<int> CountAsync();

    [ResponseTimeout("00:00:00.300")]
    Task NeverAsync();
}

/// <summary>The same gate without [AlwaysInterleave], on a class that is reentrant.</summary>
public interface IReentrantGrain : IGrainWithStringKey
{
    Task<string> WaitForGateAsync();

    Task OpenAsync();
}

/// <summary>Answers from the silo that the key names: "silo" or "silo/anything".</summary>
public interface IPlacedGrain : IGrainWithStringKey
{
    Task<string> WhereAsync();

    ValueTask<int> AddAsync(int left, int right);

    Task ThrowAsync(string kind);

    Task<byte[]> ReverseAsync(byte[] bytes);

    Task<Parcel> EchoAsync(Parcel parcel);

    /// <summary>Ends only when the token is cancelled, and counts that.</summary>
    Task WaitForCancellationAsync(CancellationToken cancellationToken);

    [AlwaysInterleave]
    Task<int> CancellationsAsync();

    /// <summary>Never answers.</summary>
    Task HangAsync();

    /// <summary>Calls <see cref="WhereAsync"/> of another grain.</summary>
    Task<string> AskAsync(string otherKey);

    Task<int> TicksAsync(int wanted);

    Task DeactivateAsync();

    Task<int> ActivationsAsync();
}

/// <summary>A number that is stored.</summary>
public interface IStoredGrain : IGrainWithStringKey
{
    Task<int> AddAsync(int amount);

    Task<string?> EtagAsync();

    Task ClearAsync();

    Task DeactivateAsync();

    Task<string> WhereAsync();
}

/// <summary>Anywhere, one at a time.</summary>
public interface IRoamingGrain : IGrainWithStringKey
{
    Task<string> WhereAsync();

    /// <summary>Ends only when the token is cancelled, and keeps the activation from ending before.</summary>
    Task StayAsync(CancellationToken cancellationToken);

    [AlwaysInterleave]
    Task<bool> IsStayingAsync();
}

/// <summary>Something with every kind of member.</summary>
[GenerateSerializer]
public sealed class Parcel
{
    [Id(0)]
    public string Name { get; set; } = "";

    [Id(1)]
    public byte[] Bytes { get; set; } = [];

    [Id(2)]
    public ReadOnlyMemory<byte> Memory { get; set; }

    [Id(3)]
    public Dictionary<Coordinate, long> Values { get; set; } = [];

    [Id(4)]
    public Coordinate Place { get; init; }

    [Id(5)]
    public double? Ratio { get; set; }

    [Id(6)]
    public ulong Large { get; set; }

    [Id(7)]
    public List<Coordinate> Path { get; set; } = [];

    /// <summary>Without [Id]: does not travel.</summary>
    [field: NonSerialized]
    public string Local { get; set; } = "local";
}

[GenerateSerializer]
public readonly record struct Coordinate([property: Id(0)] int X, [property: Id(1)] uint Y);

/// <summary>An exception with properties, as the runtime's own are.</summary>
[GenerateSerializer]
public class ShelfException : Exception
{
    public ShelfException(string message, Coordinate place, Exception? inner = null)
        : base(message, inner) => Place = place;

    [Id(0)]
    public Coordinate Place { get; private set; }
}

/// <summary>An exception without the mark.</summary>
public sealed class UnmarkedException(string message) : Exception(message);

[GenerateSerializer]
public sealed class NoSuchSiloException(string message) : Exception(message);
