namespace Hotpot.Actors;

/// <summary>
/// Hands every later snapshot to every reader, each at its own pace. The snapshots form a chain whose last link is a
/// promise of the next; a reader holds the link it has come to, so what no reader needs any more is garbage.
/// </summary>
internal sealed class SnapshotFeed(ClusterMembershipSnapshot first) : IAsyncEnumerable<ClusterMembershipSnapshot>
{
    private readonly Lock _gate = new();

    // Written under _gate; read without it, since a link never changes after it was made.
    private volatile Link _last = new(first);

    public ClusterMembershipSnapshot Current => _last.Snapshot;

    /// <summary>
    /// Appends a snapshot; one that is not newer than the last is dropped. Returns whether it was appended.
    /// </summary>
    public bool Publish(ClusterMembershipSnapshot snapshot)
    {
        var link = new Link(snapshot);
        Link previous;
        lock (_gate)
        {
            previous = _last;
            if (snapshot.Version <= previous.Snapshot.Version)
                return false;
            _last = link;
        }

        previous.Next.SetResult(link);
        return true;
    }

    public async IAsyncEnumerator<ClusterMembershipSnapshot> GetAsyncEnumerator(CancellationToken cancellationToken = default)
    {
        var link = _last;
        while (true)
        {
            yield return link.Snapshot;
            link = await link.Next.Task.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    private sealed class Link(ClusterMembershipSnapshot snapshot)
    {
        public ClusterMembershipSnapshot Snapshot { get; } = snapshot;

        public TaskCompletionSource<Link> Next { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
