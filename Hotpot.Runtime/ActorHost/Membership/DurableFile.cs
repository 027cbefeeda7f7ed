using System.ComponentModel;
using System.Runtime.InteropServices;

namespace Hotpot.Actors;

/// <summary>Replaces a file so that a reader sees the old content or the new and never a part.</summary>
internal static partial class DurableFile
{
    private const int OpenDirectory = 0x10000;
    private const int OpenCloseOnExec = 0x80000;

    /// <summary>
    /// The caller holds a lock that keeps other writers of this file away. With <paramref name="survivesPowerLoss"/> the same holds for a machine that
    /// loses power, at the price of two syncs.
    /// </summary>
    public static void Replace(string path, ReadOnlySpan<byte> content, bool survivesPowerLoss)
    {
        var temporary = path + ".new";
        using (var file = new FileStream(temporary, FileMode.Create, FileAccess.Write, FileShare.Read, bufferSize: 0))
        {
            file.Write(content);
            file.Flush(flushToDisk: survivesPowerLoss);
        }

        File.Move(temporary, path, overwrite: true);
        if (survivesPowerLoss)
            SyncDirectory(Path.GetDirectoryName(path)!);
    }

    /// <summary>Deletes a file so that it stays deleted.</summary>
    public static void Delete(string path)
    {
        File.Delete(path);
        SyncDirectory(Path.GetDirectoryName(path)!);
    }

    private static void SyncDirectory(string directory)
    {
        var descriptor = NativeOpen(directory, OpenDirectory | OpenCloseOnExec);
        if (descriptor < 0)
            throw new IOException($"Cannot open the directory {directory}: {new Win32Exception(Marshal.GetLastPInvokeError()).Message}.");
        using var handle = new Microsoft.Win32.SafeHandles.SafeFileHandle(descriptor, ownsHandle: true);
        if (NativeFsync(handle) != 0)
            throw new IOException($"Cannot sync the directory {directory}: {new Win32Exception(Marshal.GetLastPInvokeError()).Message}.");
    }

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int NativeOpen(string path, int flags);

    [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
    private static partial int NativeFsync(Microsoft.Win32.SafeHandles.SafeFileHandle file);
}
