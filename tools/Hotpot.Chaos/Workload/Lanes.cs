using System.Globalization;
using Hotpot.Chaos.Node;

namespace Hotpot.Chaos.Workload;

/// <summary>
/// Which lists are in use. A lane is a sequence of lists: when one is full, its clients go on with the next. Shared by the clients of all nodes; an element of
/// a list is a number that no other append has.
/// </summary>
internal sealed class Lanes(int lists)
{
    // Changed by Interlocked only.
    private readonly int[] _generations = new int[Layout.Lanes];
    private long _element;

    public static int ListsFor(TimeSpan duration) => Layout.Lanes * (4 + (int)Math.Ceiling(duration.TotalMinutes * 20));

    public static string KeyOf(int list) => string.Create(CultureInfo.InvariantCulture, $"l{list}");

    /// <summary>Lists that were ever used.</summary>
    public IEnumerable<int> Used => Enumerable.Range(0, Layout.Lanes).SelectMany(lane => Enumerable.Range(0, Volatile.Read(ref _generations[lane]) + 1).Select(generation => ListOf(lane, generation)))
        .Where(list => list < lists);

    public long NextElement() => Interlocked.Increment(ref _element);

    /// <summary>The list of a lane that is in use now, or null when the lane has no more.</summary>
    public int? Current(int lane) => ListOf(lane, Volatile.Read(ref _generations[lane])) is var list && list < lists ? list : null;

    /// <summary>The list is full. Idempotent.</summary>
    public void GoOn(int list) => Interlocked.CompareExchange(ref _generations[list % Layout.Lanes], (list / Layout.Lanes) + 1, list / Layout.Lanes);

    private static int ListOf(int lane, int generation) => (generation * Layout.Lanes) + lane;
}
