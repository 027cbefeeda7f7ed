using Hotpot.Grains.Node;

namespace Hotpot.Grains.Acquire;

// Which commits need not come here.
//
// Where nobody holds or wants a grant, this table lets every commit pass; so the engine may carry out other nodes' commits by itself (direct.cpp), which saves
// them the call. A gate is a chunk of which the engine knows that. The end of a commit that came here opens the gates of its chunks; the next request for a grant, anywhere in the
// dataset, closes all. It is not entered before the engine has none of its own commits under way: like those in the table, they are shown everywhere before a
// grant is given.
//
// The engine closes a gate by itself when its chunk has a new epoch: then the grants of an earlier owner may be unknown here (Census).
internal sealed partial class OwnedGrants
{
    /// <summary>After a request for a grant: who acquires once often does again, and would find commits under way each time.</summary>
    private static readonly TimeSpan GatesRest = TimeSpan.FromSeconds(1);

    // Chunks whose gates were opened by this map. Written under _lock.
    private readonly HashSet<ChunkIndex> _open = [];

    // The engine may have commits that did not come here. Written under _lock.
    private bool _mayPass;

    // Until then none is opened. Written under _lock.
    private DateTimeOffset _restUntil;

    // Under _lock.
    private void OpenGates(IReadOnlyList<ByteRange> ranges)
    {
        if (dataset.Mode != SharingMode.MultiWriter || _table.Grants.Count > 0 || _table.WaitingCount > 0)
            return;
        foreach (ByteRange range in ranges)
        {
            foreach (ChunkIndex chunk in dataset.ChunksOf(range))
            {
                if (!_open.Contains(chunk))
                    OpenGate(chunk);
            }
        }
    }

    private void OpenGate(ChunkIndex chunk)
    {
        if (time.GetUtcNow() < _restUntil || map.Find(chunk) is not { Phase: ChunkPhase.Active } entry || entry.Owner != _self || !IsCounted(chunk))
            return;
        _mayPass = true;
        if (engine.OpenGate(dataset.Id, chunk, entry.Epoch))
            _open.Add(chunk);
    }

    /// <summary>Under _lock: from here on every commit comes here first.</summary>
    /// <exception cref="BusyException">Commits are under way that did not.</exception>
    private void CloseGates()
    {
        _restUntil = time.GetUtcNow() + GatesRest;
        if (!_mayPass)
            return;
        _open.Clear();
        if (engine.CloseGates(dataset.Id) > 0)
            throw new BusyException($"Commits to dataset '{dataset.Name}' are under way; try again shortly.");
        _mayPass = false;
    }
}
