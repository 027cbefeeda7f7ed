using Hotpot.Graph.Storage;

namespace Hotpot.Graph.Loading;

/// <summary>The bytes that make a dataset with all its partitions a graph: written last.</summary>
public static unsafe class RootImage
{
    /// <param name="baseAddress">Where the dataset lies, in every process.</param>
    public static byte[] Make(GraphPlan plan, ulong baseAddress)
    {
        ArgumentNullException.ThrowIfNull(plan);
        var bytes = new byte[plan.HeaderBytes];
        var partitionsAt = sizeof(GraphRoot);
        var linksAt = partitionsAt + (plan.PartitionCount * sizeof(Partition));
        fixed (byte* start = bytes)
        {
            *(GraphRoot*)start = new GraphRoot
            {
                Magic = GraphRoot.MagicValue,
                VertexCount = plan.VertexCount,
                PlacedCount = plan.Order.PlacedCount,
                EdgeCount = (ulong)plan.EdgeCount,
                PartitionCount = plan.PartitionCount,
                Flags = plan.Flags,
                HubDegree = plan.HubDegree,
                Partitions = (Partition*)(baseAddress + (ulong)partitionsAt),
            };
            for (var index = 0; index < plan.PartitionCount; index++)
            {
                var firstLink = linksAt + ((long)index * plan.PartitionCount * sizeof(Link));
                ((Partition*)(start + partitionsAt))[index] = Header(plan.Partitions[index], index, baseAddress, firstLink);
                FillLinks((Link*)(start + firstLink), plan.Partitions[index], baseAddress);
            }
        }

        return bytes;
    }

    private static Partition Header(PartitionLayout layout, int index, ulong baseAddress, long firstLink)
    {
        return new Partition
        {
            Index = (uint)index,
            MasterCount = layout.MasterCount,
            LocalCount = layout.LocalCount,
            RowCount = layout.RowCount,
            EdgeCount = (uint)layout.EdgeCount,
            HubCount = layout.HubCount,
            RowStart = At(layout.RowStart),
            Source = At(layout.Source),
            Weight = At(layout.Weight),
            ScatterStart = At(layout.ScatterStart),
            ScatterRow = At(layout.ScatterRow),
            Id = At(layout.Id),
            OutDegree = At(layout.OutDegree),
            Hub = At(layout.Hub),
            Links = (Link*)At(firstLink),
            Sums = (StepSums*)At(layout.Sums),
            States = At(layout.States),
            WrittenBytes = layout.WrittenEnd - layout.Sums,
        };

        uint* At(long? offset) => offset is { } known ? (uint*)(baseAddress + (ulong)known) : null;
    }

    private static void FillLinks(Link* links, PartitionLayout layout, ulong baseAddress)
    {
        uint nextRow = layout.MasterCount, nextMirror = layout.MasterCount;
        for (var other = 0; other < layout.ExportCount.Length; other++)
        {
            links[other] = new Link
            {
                ExportMaster = (uint*)(baseAddress + (ulong)layout.ExportMaster[other]),
                Exports = (void*)(baseAddress + (ulong)layout.Exports[other]),
                Partials = (void*)(baseAddress + (ulong)layout.Partials[other]),
                PartialHub = (uint*)(baseAddress + (ulong)layout.PartialHub[other]),
                ExportCount = layout.ExportCount[other],
                PartialCount = layout.PartialCount[other],
                FirstPartialRow = nextRow,
                FirstMirror = nextMirror,
            };
            nextRow += layout.PartialCount[other];
            nextMirror += layout.MirrorCount[other];
        }
    }
}
