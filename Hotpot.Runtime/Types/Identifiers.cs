using System.Globalization;

namespace Hotpot.Runtime;

// Identities and versions are types, not plain integers, so that an epoch can never be passed where a sequence is meant.
// Each one that becomes part of a grain key or a file name has one text form: sixteen lower-case hexadecimal digits.

/// <summary>A node's identity. It is stored in the data directory, so it survives restarts; it is never zero.</summary>
[GenerateSerializer]
public readonly record struct NodeId([property: Id(0)] ulong Value) : IComparable<NodeId>
{
    /// <summary>The value that stands for "no node".</summary>
    public static NodeId None => default;

    public bool IsNone => Value == 0;

    public int CompareTo(NodeId other) => Value.CompareTo(other.Value);

    public override string ToString() => Value.ToString("x16", CultureInfo.InvariantCulture);

    public static NodeId Parse(string text) => new(Hex.Parse(text, "node id"));

    public static bool TryParse(string? text, out NodeId id)
    {
        bool ok = Hex.TryParse(text, out ulong value);
        id = new NodeId(value);
        return ok;
    }
}

/// <summary>Counts the starts of one data directory. A larger incarnation of a node replaces every smaller one.</summary>
[GenerateSerializer]
public readonly record struct Incarnation([property: Id(0)] ulong Value) : IComparable<Incarnation>
{
    public int CompareTo(Incarnation other) => Value.CompareTo(other.Value);

    public override string ToString() => Value.ToString(CultureInfo.InvariantCulture);
}

/// <summary>A dataset's identity: never zero, never given to a second dataset.</summary>
[GenerateSerializer]
public readonly record struct DatasetId([property: Id(0)] ulong Value) : IComparable<DatasetId>
{
    public static DatasetId None => default;

    public bool IsNone => Value == 0;

    public int CompareTo(DatasetId other) => Value.CompareTo(other.Value);

    public override string ToString() => Value.ToString("x16", CultureInfo.InvariantCulture);

    public static DatasetId Parse(string text) => new(Hex.Parse(text, "dataset id"));

    public static bool TryParse(string? text, out DatasetId id)
    {
        bool ok = Hex.TryParse(text, out ulong value);
        id = new DatasetId(value);
        return ok;
    }
}

/// <summary>The configuration number of one chunk. It starts at 1; messages of an older epoch are refused.</summary>
[GenerateSerializer]
public readonly record struct Epoch([property: Id(0)] ulong Value) : IComparable<Epoch>
{
    public static Epoch First => new(1);

    public Epoch Next => new(checked(Value + 1));

    public int CompareTo(Epoch other) => Value.CompareTo(other.Value);

    public override string ToString() => Value.ToString(CultureInfo.InvariantCulture);
}

/// <summary>The position of a chunk in its dataset.</summary>
[GenerateSerializer]
public readonly record struct ChunkIndex([property: Id(0)] uint Value) : IComparable<ChunkIndex>
{
    public int CompareTo(ChunkIndex other) => Value.CompareTo(other.Value);

    public override string ToString() => Value.ToString(CultureInfo.InvariantCulture);
}

/// <summary>Orders the commits of one chunk.</summary>
[GenerateSerializer]
public readonly record struct CommitSequence([property: Id(0)] ulong Value) : IComparable<CommitSequence>
{
    public int CompareTo(CommitSequence other) => Value.CompareTo(other.Value);

    public override string ToString() => Value.ToString(CultureInfo.InvariantCulture);
}

/// <summary>
/// A transaction's identity: the commit node, and a number made of that node's incarnation and a counter, so that
/// no restart can give the same identity away twice.
/// </summary>
[GenerateSerializer]
public readonly record struct TransactionId([property: Id(0)] NodeId Node, [property: Id(1)] ulong Sequence)
    : IComparable<TransactionId>
{
    private const int CounterBits = 40;

    /// <summary>The incarnation of the commit node that made this identity.</summary>
    public Incarnation Incarnation => new(Sequence >> CounterBits);

    public int CompareTo(TransactionId other)
    {
        int byNode = Node.CompareTo(other.Node);
        return byNode != 0 ? byNode : Sequence.CompareTo(other.Sequence);
    }

    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Node}-{Sequence:x16}");
}

internal static class Hex
{
    private const int Digits = 16;

    public static ulong Parse(string text, string what) =>
        TryParse(text, out ulong value)
            ? value
            : throw new FormatException($"'{text}' is not a {what}; write it as {Digits} hexadecimal digits.");

    public static bool TryParse(string? text, out ulong value)
    {
        value = 0;
        return text is { Length: Digits }
            && ulong.TryParse(text, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out value);
    }
}
