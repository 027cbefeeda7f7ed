using System.Globalization;

namespace Hotpot.Histories;

/// <summary>What a client knows of its operation's end.</summary>
public enum Outcome
{
    /// <summary>It happened, all of it, between its invocation and its completion.</summary>
    Ok,

    /// <summary>It did not happen and never will. It says nothing else about the state.</summary>
    Fail,

    /// <summary>It happened, all of it, at some time after its invocation, or it never will. A time-out, a lost connection, a dead client.</summary>
    Unknown,
}

/// <summary>Which kind of objects an operation is about, and so which checker decides about it.</summary>
public enum Workload
{
    /// <summary>One access: read, write or compare-and-set of one register.</summary>
    Register,

    /// <summary>A transaction of reads of lists and appends to lists.</summary>
    List,

    /// <summary>A transfer (adds whose sum is zero) or a read of all accounts.</summary>
    Bank,

    /// <summary>An add to counters, or a read of them.</summary>
    Counter,
}

/// <summary>What an access does to its key.</summary>
public enum AccessKind
{
    /// <summary>The values are what the read returned: one number, or a list's elements from the oldest on. Null when it returned nothing.</summary>
    Read,

    /// <summary>One value.</summary>
    Write,

    /// <summary>Two values: the one expected and the new one. It is <see cref="Outcome.Ok"/> only if the register held the one expected.</summary>
    Cas,

    /// <summary>One value, which no other append to the key has.</summary>
    Append,

    /// <summary>One value, the difference.</summary>
    Add,
}

/// <summary>One step of an operation.</summary>
public sealed record Access(AccessKind Kind, string Key, IReadOnlyList<long>? Values = null)
{
    private const int MaxShown = 12;

    /// <summary>A read and what it returned.</summary>
    public static Access Read(string key, params long[] values) => new(AccessKind.Read, key, values);

    /// <summary>A write.</summary>
    public static Access Write(string key, long value) => new(AccessKind.Write, key, [value]);

    /// <summary>A compare-and-set.</summary>
    public static Access Cas(string key, long expected, long value) => new(AccessKind.Cas, key, [expected, value]);

    /// <summary>An append to a list.</summary>
    public static Access Append(string key, long value) => new(AccessKind.Append, key, [value]);

    /// <summary>An add to a counter or an account.</summary>
    public static Access Add(string key, long difference) => new(AccessKind.Add, key, [difference]);

    /// <summary>For people: of a long list its end, which is where two reads differ.</summary>
    public override string ToString()
    {
        var values = (Values ?? []).Select(value => value.ToString(CultureInfo.InvariantCulture)).ToList();
        var left = values.Count - MaxShown;
        return $"{Kind.ToString().ToLowerInvariant()} {Key} [{(left > 1 ? $"{left} others " : "")}{string.Join(' ', left > 1 ? values[left..] : values)}]";
    }
}

/// <summary>
/// What one client asked for and was told. Times are microseconds of one clock that all clients share, such as
/// CLOCK_MONOTONIC of one machine. <see cref="Id"/> tells the operations of a client apart.
/// </summary>
public sealed record Operation(
    string Client,
    string Node,
    long Id,
    Workload Kind,
    IReadOnlyList<Access> Accesses,
    long InvokeUs,
    long? CompleteUs,
    Outcome Outcome)
{
    /// <inheritdoc/>
    public override string ToString() =>
        string.Create(CultureInfo.InvariantCulture, $"{Client}/{Id} on {Node} at {InvokeUs}..{CompleteUs?.ToString(CultureInfo.InvariantCulture) ?? "?"} us, {Outcome}: {string.Join(", ", Accesses)}");
}
