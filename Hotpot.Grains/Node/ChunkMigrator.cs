using Hotpot.Grains.Dataset;

namespace Hotpot.Grains.Node;

/// <summary>
/// Looks now and then at who uses the chunks that this node owns, and asks the dataset grain to give a chunk to a node that has been its heaviest
/// user (<see cref="MigrationDecision"/>) in two intervals in a row. One caller at a time.
/// </summary>
internal sealed class ChunkMigrator(INodeEngine engine, IGrainFactory grains)
{
    /// <summary>Chunks of one interval: a bound on how much of a dataset changes its owner at once.</summary>
    private const int MostAtOnce = 256;

    private readonly record struct Place(DatasetId Dataset, ChunkIndex Chunk);

    // Who was the heaviest user in the last interval. Written by LookAsync only.
    private Dictionary<Place, NodeId> _last = [];

    /// <summary>True when something was asked for, so that maintenance has work.</summary>
    public async Task<bool> LookAsync(IEnumerable<LocalDataset> datasets, long minimumPages, CancellationToken cancellationToken)
    {
        Dictionary<Place, NodeId> heaviest = [];
        bool asked = false;
        foreach (LocalDataset dataset in datasets)
        {
            DatasetDescription description = dataset.Description;
            List<ChunkMigration> wanted = [];
            foreach (IGrouping<ChunkIndex, ChunkUse> chunk in engine.TakeUsage(description.Id).GroupBy(use => use.Chunk))
            {
                NodeId user = MigrationDecision.HeaviestUser([.. chunk], minimumPages);
                if (user.IsNone)
                    continue;
                Place place = new(description.Id, chunk.Key);
                heaviest[place] = user;
                // A surplus copy is left from an earlier move; the owner as the heaviest user gives it up.
                bool moves = user != engine.Identity.Node || dataset.Map.Find(chunk.Key)?.CountedReplicas > description.Degree;
                if (moves && _last.GetValueOrDefault(place) == user && wanted.Count < MostAtOnce)
                    wanted.Add(new ChunkMigration { Chunk = chunk.Key, Epoch = chunk.First().Epoch, To = user });
            }
            if (wanted.Count == 0)
                continue;
            await grains.DatasetGrain(description.Id).MigrateAsync([.. wanted]).WaitAsync(cancellationToken);
            asked = true;
        }
        _last = heaviest;
        return asked;
    }
}
