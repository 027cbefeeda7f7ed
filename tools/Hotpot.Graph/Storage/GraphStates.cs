namespace Hotpot.Graph.Storage;

/// <summary>The results of a run, read from the dataset by plain loads.</summary>
public static unsafe class GraphStates
{
    /// <summary>Puts the state of every vertex at the number that the graph came with.</summary>
    /// <param name="withoutEdges">The state of the vertices that have no edge and are in no partition, by number.</param>
    public static TState[] Read<TState>(GraphRoot* root, Func<uint, TState> withoutEdges)
        where TState : unmanaged
    {
        ArgumentNullException.ThrowIfNull(withoutEdges);
        var states = new TState[root->VertexCount];
        for (uint vertex = 0; vertex < states.Length; vertex++)
            states[vertex] = withoutEdges(vertex);
        for (var index = 0; index < root->PartitionCount; index++)
        {
            var partition = root->Partitions + index;
            for (uint master = 0; master < partition->MasterCount; master++)
                states[partition->Id[master]] = ((TState*)partition->States)[master];
        }

        return states;
    }
}
