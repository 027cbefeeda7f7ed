using Hotpot.Grains.Commit;

namespace Hotpot.Grains.Node;

/// <summary>
/// This silo's node: what application code in the silo reaches through Hotpot.Clients. Registered as a singleton by
/// <see cref="HotpotGrainsExtensions.AddHotpotGrains"/>.
/// </summary>
public interface IHotpotNode
{
    NodeIdentity Identity { get; }

    /// <summary>The native data path. Map, prefetch, read and discard go straight to it.</summary>
    Engine Engine { get; }

    ICommitter Committer { get; }

    IAcquirer Acquirer { get; }

    /// <summary>Completes when the node has joined every dataset; fails when it cannot. Open waits for it.</summary>
    Task Ready { get; }

    /// <summary>
    /// Makes a dataset usable here: open in the engine, with a complete chunk map. Throws <see cref="DatasetNotFoundException"/>.
    /// Cheap when it is open already.
    /// </summary>
    Task<DatasetDescription> OpenAsync(string name, CancellationToken cancellationToken);

    /// <summary>The same by id, for a dataset whose description is known to the caller no more.</summary>
    Task<DatasetDescription> OpenAsync(DatasetId dataset, CancellationToken cancellationToken);

    /// <summary>Who owns a chunk of an open dataset as far as this node knows; none while nobody does.</summary>
    NodeId OwnerOf(DatasetId dataset, ChunkIndex chunk);
}

/// <summary>Grants for this node: taken from owners, kept until recalled.</summary>
public interface IAcquirer
{
    /// <summary>
    /// Waits until the pages of the range are granted to this node. A grant kept from before costs no call. Dispose the result to
    /// release it. Throws <see cref="AlreadyAcquiredException"/> when a user in this silo has any of it now.
    /// </summary>
    Task<IGrant> AcquireAsync(DatasetDescription dataset, ByteRange range, AcquireMode mode, TimeSpan timeout, CancellationToken cancellationToken);
}

/// <summary>A range that this silo may use until it is disposed.</summary>
public interface IGrant : IAsyncDisposable
{
    DatasetId Dataset { get; }

    /// <summary>Whole pages around the range asked for.</summary>
    ByteRange Range { get; }

    AcquireMode Mode { get; }

    /// <summary>
    /// Turns a shared grant into an exclusive one without letting go of it, so what was read under it is still true. Waits for the other holders of it.
    /// Throws <see cref="UpgradeConflictException"/> when one of them waits for the same. After any failure the grant holds others off as before and counts as
    /// shared; a part of it may be exclusive already, so dispose it unless the upgrade is to be tried again.
    /// </summary>
    Task UpgradeAsync(TimeSpan timeout, CancellationToken cancellationToken = default);
}
