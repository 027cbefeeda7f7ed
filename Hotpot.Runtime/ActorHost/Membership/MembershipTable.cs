using System.Collections.Immutable;
using System.Net;
using System.Text.Json;

namespace Hotpot.Actors;

/// <summary>One life of one silo in the table. A row never leaves the status Dead.</summary>
internal sealed record MembershipRow(string Name, int Number, int Generation, SiloStatus Status, string? Reason)
{
    public SiloAddress ToAddress() => SiloAddress.New(IPAddress.Loopback, Number, Generation);
}

/// <summary>The whole table.</summary>
internal sealed record MembershipImage(string ClusterId, string ServiceId, long Version, int LastGeneration, ImmutableArray<MembershipRow> Rows)
{
    public ClusterMembershipSnapshot ToSnapshot() => new(
        Rows.ToImmutableDictionary(row => row.ToAddress(), row => new ClusterMember(row.ToAddress(), row.Status, row.Name)),
        new MembershipVersion(Version));

    public MembershipRow? Find(SiloAddress silo) =>
        Rows.FirstOrDefault(row => row.Number == silo.Endpoint.Port && row.Generation == silo.Generation);

    public MembershipImage With(MembershipRow row) => this with
    {
        Version = Version + 1,
        Rows = [.. Rows.Where(old => old.Number != row.Number || old.Generation != row.Generation), row],
    };
}

/// <summary>
/// The membership table: one file in the cluster directory, replaced as a whole under an flock, with a version that every change raises by one. It
/// is the only place where it is decided who is dead, so all silos agree, also the one that the decision is about: the row of a
/// silo that was declared dead is its tombstone, and it finds it there when it wakes.
/// </summary>
internal sealed class MembershipTable(ClusterDirectory directory, string clusterId, string serviceId)
{
    // Dead rows of a silo that is back are kept for a while, so that slow watchers see the death and not only the return.
    private const int DeadRowsKeptPerSilo = 4;

    private static readonly DateTime GenerationZero = new(2024, 1, 1, 0, 0, 0, DateTimeKind.Utc);

    public MembershipImage Read()
    {
        byte[] content;
        try
        {
            content = File.ReadAllBytes(directory.MembershipTable);
        }
        catch (Exception missing) when (missing is FileNotFoundException or DirectoryNotFoundException)
        {
            return new MembershipImage(clusterId, serviceId, 0, 0, []);
        }

        // The table is not synced: what a machine that lost power has left of it names only silos that are dead. An empty file is one such remainder.
        if (content.Length == 0)
            return new MembershipImage(clusterId, serviceId, 0, 0, []);
        MembershipImage? image;
        try
        {
            image = JsonSerializer.Deserialize<MembershipImage>(content);
        }
        catch (JsonException exception)
        {
            throw new OrleansException($"The membership table {directory.MembershipTable} is damaged; stop all silos and delete it.", exception);
        }

        if (image is null || image.Rows.IsDefault)
            throw new OrleansException($"The membership table {directory.MembershipTable} is damaged; stop all silos and delete it.");
        if (image.ClusterId != clusterId || image.ServiceId != serviceId)
            throw new OrleansConfigurationException(
                $"The cluster directory {directory.Root} belongs to cluster \"{image.ClusterId}\", service \"{image.ServiceId}\", not to \"{clusterId}\", \"{serviceId}\"; give each cluster its own directory.");
        return image;
    }

    /// <summary>Applies a change under the lock. A change that returns null changes nothing. Returns the table as it then is.</summary>
    public MembershipImage Update(Func<MembershipImage, MembershipImage?> change)
    {
        using var held = FileLock.Acquire(directory.MembershipLock);
        var before = Read();
        var after = change(before);
        if (after is null)
            return before;
        DurableFile.Replace(directory.MembershipTable, JsonSerializer.SerializeToUtf8Bytes(after), survivesPowerLoss: false);
        return after;
    }

    /// <summary>Adds a new life of the named silo. The lock that proves its life is taken before its row can be seen.</summary>
    public (MembershipRow Row, FileLock Life, MembershipImage Image) Join(string name)
    {
        directory.Create();
        MembershipRow? joined = null;
        FileLock? life = null;
        try
        {
            var image = Update(before =>
            {
                var rows = before.Rows.Select(row => row.Status != SiloStatus.Dead && !FileLock.IsHeld(directory.LifeLock(row.ToAddress()))
                    ? row with { Status = SiloStatus.Dead, Reason = "its process had ended" }
                    : row).ToImmutableArray();
                if (rows.FirstOrDefault(row => row.Name == name && row.Status != SiloStatus.Dead) is { } living)
                    throw new OrleansConfigurationException(
                        $"A silo named \"{name}\" already runs in {directory.Root} (generation {living.Generation}); stop it or give this one another name.");
                var number = rows.FirstOrDefault(row => row.Name == name)?.Number ?? rows.Select(row => row.Number).DefaultIfEmpty().Max() + 1;
                var generation = Math.Max(before.LastGeneration + 1, (int)(DateTime.UtcNow - GenerationZero).TotalSeconds);
                joined = new MembershipRow(name, number, generation, SiloStatus.Joining, null);
                life = FileLock.TryAcquire(directory.LifeLock(joined.ToAddress()))
                    ?? throw new OrleansException($"The lock {directory.LifeLock(joined.ToAddress())} is held by a stranger; delete the file.");
                return (before with { LastGeneration = generation, Rows = Prune(rows, name) }).With(joined);
            });
            return (joined!, life!, image);
        }
        catch
        {
            life?.Dispose();
            throw;
        }
    }

    /// <summary>Moves a row to a later status. A dead row stays dead.</summary>
    public MembershipImage SetStatus(SiloAddress silo, SiloStatus status, string? reason) => Update(before =>
        before.Find(silo) is { } row && row.Status != SiloStatus.Dead && row.Status < status
            ? before.With(row with { Status = status, Reason = reason })
            : null);

    private ImmutableArray<MembershipRow> Prune(ImmutableArray<MembershipRow> rows, string name)
    {
        var surplus = rows.Where(row => row.Name == name && row.Status == SiloStatus.Dead)
            .OrderByDescending(row => row.Generation)
            .Skip(DeadRowsKeptPerSilo - 1)
            .ToHashSet();
        foreach (var row in rows.Where(row => row.Status == SiloStatus.Dead))
        {
            File.Delete(directory.LifeLock(row.ToAddress()));
            File.Delete(directory.CallSocket(row.ToAddress()));
            File.Delete(directory.HeartbeatSocket(row.ToAddress()));
        }

        return [.. rows.Where(row => !surplus.Contains(row))];
    }
}
