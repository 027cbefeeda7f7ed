using System.IO.MemoryMappedFiles;

namespace Hotpot.Bench.Benches.PageRank;

/// <summary>A file of numbers in memory: written by the orchestrator, read in place by the nodes.</summary>
internal sealed unsafe class MappedFile : IDisposable
{
    private readonly MemoryMappedFile _file;
    private readonly MemoryMappedViewAccessor _view;

    public MappedFile(string path)
    {
        _file = MemoryMappedFile.CreateFromFile(path, FileMode.Open, null, 0, MemoryMappedFileAccess.Read);
        _view = _file.CreateViewAccessor(0, 0, MemoryMappedFileAccess.Read);
        byte* start = null;
        _view.SafeMemoryMappedViewHandle.AcquirePointer(ref start);
        Start = start;
    }

    public byte* Start { get; }

    /// <summary>Writes arrays one after the other, each on a boundary of 64 bytes.</summary>
    public static void Write(string path, params ReadOnlySpan<(nint Start, long Bytes)> arrays)
    {
        // Written in pieces because one write takes less than 2 GiB.
        const int Piece = 16 << 20;
        using var file = new FileStream(path, FileMode.CreateNew, FileAccess.Write, FileShare.None, bufferSize: 0);
        foreach (var (start, bytes) in arrays)
        {
            for (long done = 0; done < bytes; done += Piece)
                file.Write(new ReadOnlySpan<byte>((byte*)start + done, (int)Math.Min(Piece, bytes - done)));
            file.SetLength(AlignUp(file.Length));
            file.Position = file.Length;
        }
    }

    public static long AlignUp(long bytes) => (bytes + 63) / 64 * 64;

    public void Dispose()
    {
        _view.SafeMemoryMappedViewHandle.ReleasePointer();
        _view.Dispose();
        _file.Dispose();
    }
}
