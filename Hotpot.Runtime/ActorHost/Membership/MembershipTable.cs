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
        Rows = [.. Rows.Where(old => old.Number != row.Number || old.Generation != row.Generation), row],
    };
}

/// <summary>
/// The membership table: a file with versions in the cluster directory (VersionedFile.cs), replaced as a whole. It is
/// the only place where it is decided who is dead, so all silos agree, also the one that the decision is about: the row
/// of a silo that was declared dead is its tombstone, and it finds it there when it wakes.
/// </summary>
internal sealed class MembershipTable(ClusterDirectory directory, string clusterId, string serviceId)
{
    // Dead rows of a silo that is back are kept for a while, so that slow watchers see the death and not only the
    // return.
    private const int DeadRowsKeptPerSilo = 4;

    private static readonly DateTime GenerationZero = new(2024, 1, 1, 0, 0, 0, DateTimeKind.Utc);

    // Not synced: what a machine that lost power has left of the table names only silos that are dead.
    private readonly VersionedFile _file = new(directory.Membership, "table", survivesPowerLoss: false);

    // The image that was read last. Written by any reader; an older one does no harm, since its version is compared
    // with the file's.
    private volatile MembershipImage? _last;

    public MembershipImage Read()
    {
        if (_last is { } last && _file.Newest() == last.Version)
            return last;
        var (version, content) = _file.Read();

        // An empty file is what a power loss can leave of one that was not synced.
        var image = content is null or [] ? new MembershipImage(clusterId, serviceId, version, 0, []) : Parse(_file.PathOf(version), content);
        if (image.ClusterId != clusterId || image.ServiceId != serviceId)
            throw new OrleansConfigurationException(
                $"The cluster directory {directory.Root} belongs to cluster \"{image.ClusterId}\", service \"{image.ServiceId}\", "
                + $"not to \"{clusterId}\", \"{serviceId}\"; give each cluster its own directory.");
        return _last = image with { Version = version };
    }

    /// <summary>
    /// Applies a change to the newest table, as often as it takes to be the first. A change that returns null changes
    /// nothing. Returns the table as it then is.
    /// </summary>
    public MembershipImage Update(Func<MembershipImage, MembershipImage?> change)
    {
        while (true)
        {
            var before = Read();
            if (change(before) is not { } changed)
                return before;
            var after = changed with { Version = before.Version + 1 };
            if (_file.TryReplace(before.Version, JsonSerializer.SerializeToUtf8Bytes(after)))
                return _last = after;
        }
    }

    /// <summary>
    /// Adds a new life of the named silo. The lock that proves its life is taken before its row can be seen.
    /// </summary>
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
                if (life is not null)
                    Abandon(life, joined!);

                // A silo that joins at the same moment may have taken the same number and generation; only one of the
                // two will be in the table.
                var generation = Math.Max(before.LastGeneration + 1, (int)(DateTime.UtcNow - GenerationZero).TotalSeconds);
                do
                {
                    joined = new MembershipRow(name, number, generation++, SiloStatus.Joining, null);
                    life = FileLock.TryAcquire(directory.LifeLock(joined.ToAddress()));
                }
                while (life is null);
                return (before with { LastGeneration = joined.Generation, Rows = Prune(rows, name) }).With(joined);
            });
            return (joined!, life!, image);
        }
        catch
        {
            if (life is not null)
                Abandon(life, joined!);
            throw;
        }
    }

    /// <summary>Moves a row to a later status. A dead row stays dead.</summary>
    public MembershipImage SetStatus(SiloAddress silo, SiloStatus status, string? reason) => Update(before =>
        before.Find(silo) is { } row && row.Status != SiloStatus.Dead && row.Status < status
            ? before.With(row with { Status = status, Reason = reason })
            : null);

    private void Abandon(FileLock life, MembershipRow row)
    {
        File.Delete(directory.LifeLock(row.ToAddress()));
        life.Dispose();
    }

    private static MembershipImage Parse(string path, byte[] content)
    {
        var problem = "it has no rows";
        try
        {
            if (JsonSerializer.Deserialize<MembershipImage>(content) is { Rows.IsDefault: false } image)
                return image;
        }
        catch (JsonException exception)
        {
            problem = exception.Message;
        }

        throw new OrleansException($"The membership table {path} is damaged ({problem}); stop all silos and delete it.");
    }

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
