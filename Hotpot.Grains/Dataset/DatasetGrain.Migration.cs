using Microsoft.Extensions.Logging;

namespace Hotpot.Grains.Dataset;

// A chunk goes to the node that uses it most. The owner counts and asks (ChunkMigrator); this grain decides by the map as it is now.
//
// The move is a change of configuration like a hand-over: epoch+1, RECOVERING, so that what was prepared under the old owner is settled before the new one
// serves, and a commit that meets the change is told so and repeats as a new transaction. A user that is no replica becomes a joining one first, on top of the
// degree; when it has been synchronised and still is the heaviest, the chunk goes to it and the last of the others gives its copy up.
internal sealed partial class DatasetGrain
{
    public async Task MigrateAsync(ChunkMigration[] wanted)
    {
        if (state.State is not { IsDropped: false, Description: { } description })
            return;
        HashSet<NodeId> usable = [.. Usable()];
        ChunkEntry[] changed =
        [
            .. wanted.Where(wish => usable.Contains(wish.To)).Select(wish => _map[wish.Chunk] is { } entry && entry.Epoch == wish.Epoch
                ? ConfigurationDecision.Migrate(entry, wish.To, description.Degree)
                : null).OfType<ChunkEntry>(),
        ];
        if (changed.Length == 0)
            return;
        await ChangeAsync(changed);
        LogMigrating(description.Name, changed.Length);
    }

    [LoggerMessage(LogLevel.Information, "Dataset '{Dataset}' moves {Chunks} chunks to the nodes that use them most.")]
    private partial void LogMigrating(string dataset, int chunks);
}
