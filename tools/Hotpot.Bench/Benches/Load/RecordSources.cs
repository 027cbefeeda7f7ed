using Hotpot.Bench.Node;
using Hotpot.Bench.Peers;
using Hotpot.Clients;

namespace Hotpot.Bench.Benches.Load;

/// <summary>A mapped dataset whose pages have all been loaded once.</summary>
internal readonly struct MappedRecords(Mapping mapping) : IRecordSource
{
    public const string Kind = "load.mapping";

    public static async Task<IWorkload> CreateAsync(WorkloadContext context)
    {
        var mapped = await context.Datasets.OpenAsync(context.Spec["dataset"]);
        for (long offset = 0; offset < mapped.Dataset.Size; offset += Limits.PageBytes)
        {
            if (mapped.Mapping.ReadOnlyRef<ulong>(offset) != Pattern.WordAt(offset))
                throw new IOException($"The dataset has other bytes at {offset} than were committed.");
        }

        return new RecordLoads<MappedRecords>(new MappedRecords(mapped.Mapping));
    }

    public int Records => (int)(mapping.Size / RecordLoads.RecordBytes);

    public void Copy(int record, Span<byte> to) => mapping.GetReadOnlySpan((long)record * RecordLoads.RecordBytes, RecordLoads.RecordBytes).CopyTo(to);

    /// <summary>The mapping is the process's.</summary>
    public void Dispose()
    {
    }
}

/// <summary>An ordinary array.</summary>
internal readonly struct ArrayRecords(byte[] array) : IRecordSource
{
    public const string Kind = "load.array";

    public static Task<IWorkload> CreateAsync(WorkloadContext context)
    {
        var array = GC.AllocateUninitializedArray<byte>(checked((int)context.Spec.Number("bytes")));
        Pattern.Fill(array, offset: 0);
        return Task.FromResult<IWorkload>(new RecordLoads<ArrayRecords>(new ArrayRecords(array)));
    }

    public int Records => array.Length / RecordLoads.RecordBytes;

    public void Copy(int record, Span<byte> to) => array.AsSpan(record * RecordLoads.RecordBytes, RecordLoads.RecordBytes).CopyTo(to);

    public void Dispose()
    {
    }
}

/// <summary>LMDB, with integer keys, which are its fastest.</summary>
/// <param name="renew">Begins each read's transaction anew, as a reader must that wants to see what was committed; else one stays open throughout.</param>
internal readonly struct LmdbRecords(LmdbReader reader, int records, bool renew) : IRecordSource
{
    public const string Kind = "load.lmdb";

    public static Task<IWorkload> CreateAsync(WorkloadContext context)
    {
        var bytes = context.Spec.Number("bytes");
        var records = (int)(bytes / RecordLoads.RecordBytes);
        var file = context.Spec["file"];
        if (!File.Exists(file))
        {
            Lmdb.Load(file, mapBytes: 2 * bytes, records, RecordLoads.RecordBytes, (record, value) => Pattern.Fill(value, (long)record * RecordLoads.RecordBytes));
        }

        LmdbRecords source = new(new LmdbReader(file), records, bool.Parse(context.Spec["renew"]));
        // Its map is to be as warm as ours.
        Span<byte> buffer = stackalloc byte[RecordLoads.RecordBytes];
        for (var record = 0; record < records; record++)
            source.Copy(record, buffer);
        return Task.FromResult<IWorkload>(new RecordLoads<LmdbRecords>(source));
    }

    public int Records => records;

    public void Copy(int record, Span<byte> to)
    {
        if (renew)
            reader.Renew();
        reader.Get(record).CopyTo(to);
    }

    public void Dispose() => reader.Dispose();
}
