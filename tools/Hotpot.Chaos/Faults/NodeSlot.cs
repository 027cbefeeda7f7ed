namespace Hotpot.Chaos.Faults;

/// <summary>One life of a node: from the start of its process to its end.</summary>
internal sealed class NodeLife(NodeProcess process)
{
    public NodeProcess Process { get; } = process;

    /// <summary>
    /// From when on what this process says by itself is not to be believed, because the others may have declared it dead: a process that was cut off may show old
    /// values until it notices. Null: it has always been a member. Written by the fault runner.
    /// </summary>
    public long? SuspectFromUs { get; set; }
}

/// <summary>The place of one node, in which one process follows another. Changed by the fault runner only; clients wait for a life and use it.</summary>
internal sealed class NodeSlot(int index)
{
    private TaskCompletionSource<NodeLife> _up = NewSource();

    public int Index { get; } = index;

    /// <summary>The last process; null before the first one.</summary>
    public NodeLife? Last { get; private set; }

    public Task<NodeLife> WaitUpAsync(CancellationToken cancellation) => Volatile.Read(ref _up).Task.WaitAsync(cancellation);

    public void SetUp(NodeLife life)
    {
        Last = life;
        _up.SetResult(life);
    }

    /// <summary>Clients wait from now on. Idempotent.</summary>
    public void SetDown()
    {
        if (_up.Task.IsCompleted)
            Volatile.Write(ref _up, NewSource());
    }

    private static TaskCompletionSource<NodeLife> NewSource() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}
