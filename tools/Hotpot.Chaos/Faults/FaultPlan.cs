using Hotpot.Chaos.Orchestration;

namespace Hotpot.Chaos.Faults;

/// <summary>
/// The faults of a run in their order. The seed decides everything, so a run that found something can be planned again; when each process does what is still
/// up to the machine.
/// </summary>
/// <remarks>
/// Kinds are dealt from a deck that is shuffled anew when it is empty, so that every run of some minutes meets all of them, the rare ones too. The first fault is a
/// kill, so that no run is too short for one.
/// </remarks>
internal static class FaultPlan
{
    // How often each kind is in the deck.
    private static readonly (FaultKind Kind, int Count)[] s_deck =
    [
        (FaultKind.Kill, 5), (FaultKind.KillTwo, 2), (FaultKind.KillDuringRecovery, 2), (FaultKind.KillAll, 1), (FaultKind.Stop, 2), (FaultKind.Pause, 2),
        (FaultKind.LoseDirectory, 2), (FaultKind.RollingRestart, 1), (FaultKind.Partition, 3),
    ];

    /// <param name="only">The kinds that follow the first kill; none means all.</param>
    public static IEnumerable<Fault> Create(int seed, int nodes, IReadOnlyCollection<FaultKind> only)
    {
        var random = new Random(seed);
        yield return Deal(random, FaultKind.Kill, nodes);
        while (true)
        {
            FaultKind[] deck = [.. s_deck.Where(card => only.Count == 0 || only.Contains(card.Kind)).SelectMany(card => Enumerable.Repeat(card.Kind, card.Count))];
            random.Shuffle(deck);
            foreach (var kind in deck)
                yield return Deal(random, kind, nodes);
        }
    }

    private static Fault Deal(Random random, FaultKind kind, int nodes)
    {
        int[] order = [.. Enumerable.Range(0, nodes)];
        random.Shuffle(order);
        var (met, holdMs) = kind switch
        {
            FaultKind.KillTwo => (2, random.Next(200, 4000)),
            FaultKind.KillDuringRecovery => (2, random.Next(200, 3000)),
            FaultKind.KillAll => (nodes, random.Next(0, 500)),
            // Longer than it takes to be declared dead (2 s), with some to spare on a busy machine.
            FaultKind.Stop => (1, random.Next(3500, 6000)),
            FaultKind.Pause => (1, random.Next(100, 1200)),
            FaultKind.LoseDirectory => (random.Next(1, Math.Min(ChaosCluster.DegreeMax, nodes)), random.Next(0, 2000)),
            FaultKind.RollingRestart => (nodes, 0),
            FaultKind.Partition => (1, random.Next(500, 8000)),
            _ => (1, random.Next(0, 4000)),
        };
        return new Fault(kind, Ms(random.Next(1000, 4000)), order[..Math.Min(met, nodes)], Ms(holdMs), Ms(random.Next(0, 700)));
    }

    private static TimeSpan Ms(int milliseconds) => TimeSpan.FromMilliseconds(milliseconds);
}
