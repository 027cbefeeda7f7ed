using System.Runtime.InteropServices;
using Hotpot.Runtime.Interop;

namespace Hotpot.Runtime;

public sealed unsafe partial class Engine
{
    // A map of a large dataset is sent in pieces of this many entries, so that its native form fits the stack (96 bytes each).
    private const int MapBatch = 256;

    /// <summary>Idempotent for the same description; <see cref="DatasetMismatchException"/> for another one of the same id.</summary>
    public void OpenDataset(DatasetDescription description)
    {
        byte* name = (byte*)Marshal.StringToCoTaskMemUTF8(description.Name);
        try
        {
            HpDatasetDescription native = new()
            {
                Id = description.Id.Value,
                BaseAddress = description.BaseAddress,
                Size = checked((ulong)description.Size),
                ChunkLog2 = checked((uint)description.ChunkLog2),
                Degree = checked((uint)description.Degree),
                Mode = (uint)description.Mode,
                Name = name,
            };
            HpError error = default;
            NativeStatus.Check(DatasetInterop.Open(_handle, &native, &error), error, $"Dataset '{description.Name}' was not opened");
        }
        finally
        {
            Marshal.FreeCoTaskMem((nint)name);
        }
    }

    /// <summary>Unmaps the view and forgets cached pages; replicas stay.</summary>
    public void CloseDataset(DatasetId dataset)
    {
        HpError error = default;
        NativeStatus.Check(DatasetInterop.Close(_handle, dataset.Value, &error), error, $"Dataset {dataset} was not closed");
    }

    /// <summary>Forgets the dataset for ever: front, store and log state.</summary>
    public void DropDataset(DatasetId dataset)
    {
        HpError error = default;
        NativeStatus.Check(DatasetInterop.Drop(_handle, dataset.Value, &error), error, $"Dataset {dataset} was not dropped");
    }

    /// <summary>
    /// Blocking: a replica makes the new epoch durable before this returns. Applies the entries that are newer than what the
    /// node has and ignores the others, so it may be repeated.
    /// </summary>
    public void ApplyMap(DatasetId dataset, IReadOnlyList<ChunkEntry> entries)
    {
        HpChunkEntry* batch = stackalloc HpChunkEntry[Math.Min(MapBatch, entries.Count)];
        HpError error = default;
        for (int first = 0; first < entries.Count; first += MapBatch)
        {
            int count = Math.Min(MapBatch, entries.Count - first);
            for (int i = 0; i < count; i++)
                batch[i] = HpChunkEntry.From(entries[first + i]);
            NativeStatus.Check(
                DatasetInterop.ApplyMap(_handle, dataset.Value, batch, (uint)count, &error),
                error, $"The chunk map of dataset {dataset} was not applied");
        }
    }

    /// <inheritdoc cref="ApplyMap"/>
    public Task ApplyMapAsync(DatasetId dataset, IReadOnlyList<ChunkEntry> entries, CancellationToken cancellationToken = default) =>
        Task.Run(() => ApplyMap(dataset, entries), cancellationToken);

    public DatasetStatistics DatasetStatistics(DatasetId dataset)
    {
        DatasetStatistics statistics;
        NativeStatus.Check(
            StatisticsInterop.Dataset(_handle, dataset.Value, &statistics), $"The figures of dataset {dataset} are not available");
        return statistics;
    }
}
