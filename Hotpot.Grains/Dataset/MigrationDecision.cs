namespace Hotpot.Grains.Dataset;

// Who should own a chunk, from what its owner counted in one interval (pages that a node fetched from it or changed by its commits).
//
//   HeaviestUser
//     fewer pages in all than the minimum      | nobody: moving costs more than it saves
//     one node used it at least as much as     |
//       Lead times everyone else together      | that node
//     otherwise                                | nobody: wherever the chunk goes, somebody has to travel
//
// The owner's own commits count as its own, so a chunk that its owner uses stays. Lead and the two intervals in a row that ChunkMigrator asks for keep a
// chunk from going to and fro between nodes that use it alike.
internal static class MigrationDecision
{
    public const int Lead = 2;

    public static NodeId HeaviestUser(IReadOnlyCollection<ChunkUse> uses, long minimum)
    {
        long all = uses.Sum(use => use.Pages);
        if (all < minimum || all == 0)
            return NodeId.None;
        ChunkUse heaviest = uses.MaxBy(use => use.Pages);
        return heaviest.Pages >= Lead * (all - heaviest.Pages) ? heaviest.Node : NodeId.None;
    }
}
