using System.ComponentModel;
using System.Runtime.InteropServices;
using Hotpot.Bench.Benches.Commit;
using Hotpot.Bench.Harness;
using Hotpot.Bench.Node;
using Microsoft.Win32.SafeHandles;

namespace Hotpot.Bench.Benches.CommitFile;

/// <summary>The floor of a durable commit: three files are written and flushed at once, each by a thread of its own, and nothing else happens.</summary>
internal sealed partial class FlushWorkload : IWorkload
{
    public const string Kind = "flush";

    private const int Files = 3;
    private const int FileBytes = 16 << 20;

    private readonly SafeFileHandle[] _files;
    private readonly Records[] _records;
    private readonly string[] _paths;

    // Written by the one caller.
    private long _offset;

    private FlushWorkload(string[] paths, int bytes)
    {
        _paths = paths;
        _files = [.. paths.Select(path => File.OpenHandle(path, FileMode.CreateNew, FileAccess.ReadWrite))];
        _records = [.. paths.Select(_ => new Records(1, bytes))];
        // Written once, as a log's segment is: no flush has to write the file's length or blocks.
        foreach (var file in _files)
        {
            RandomAccess.Write(file, new byte[FileBytes], 0);
            RandomAccess.FlushToDisk(file);
        }
    }

    public static WorkloadSpec Spec(string folder, int bytes) => new() { Kind = Kind, Parameters = new() { ["folder"] = folder, ["bytes"] = $"{bytes}" } };

    public static Task<IWorkload> CreateAsync(WorkloadContext context) => Task.FromResult<IWorkload>(new FlushWorkload(
        [.. Enumerable.Range(0, Files).Select(file => Path.Combine(context.Spec["folder"], $"flush-{Guid.NewGuid():N}-{file}"))], (int)context.Spec.Number("bytes")));

    public async Task<Turn> RunAsync(int operations, TimeSpan limit)
    {
        var clock = new TurnClock(operations, limit);
        while (clock.Begin())
        {
            _offset = (_offset + _records[0].AreaBytes) % (FileBytes - _records[0].AreaBytes);
            await Task.WhenAll(Enumerable.Range(1, Files - 1).Select(file => Task.Run(() => Write(file))).Append(WriteHereAsync()));
            clock.End();
        }

        return clock.Done();
    }

    public ValueTask DisposeAsync()
    {
        foreach (var file in _files)
            file.Dispose();
        foreach (var path in _paths)
            File.Delete(path);
        return ValueTask.CompletedTask;
    }

    [LibraryImport("libc", EntryPoint = "fdatasync", SetLastError = true)]
    private static partial int FlushData(SafeFileHandle file);

    private Task WriteHereAsync()
    {
        Write(0);
        return Task.CompletedTask;
    }

    private void Write(int file)
    {
        RandomAccess.Write(_files[file], _records[file].NextBytes(), _offset);
        if (FlushData(_files[file]) != 0)
            throw new Win32Exception(Marshal.GetLastPInvokeError());
    }
}
