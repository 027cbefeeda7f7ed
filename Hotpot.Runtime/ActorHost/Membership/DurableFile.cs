using System.ComponentModel;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Hotpot.Actors;

/// <summary>
/// Creates a file with all its content, or not at all, and only if no file of that name exists. This is the
/// compare-and-set that membership and grain storage are made of: a successor of version n is the file named n+1, and
/// of all who try to create it one succeeds. There is no lock that a stopped process could hold while others wait.
/// </summary>
internal static partial class DurableFile
{
    private const int OpenDirectory = 0x10000;
    private const int OpenCloseOnExec = 0x80000;
    private const int ErrorNoEntry = 2;
    private const int ErrorExists = 17;

    /// <summary>
    /// Returns false when the file exists, when <paramref name="stillWanted"/> says so after the content is ready under a name that begins with
    /// the file's, and when somebody has removed that one since. With <paramref name="survivesPowerLoss"/> the file is there after the
    /// machine has lost power, at the price of two syncs.
    /// </summary>
    public static bool TryCreate(string path, ReadOnlySpan<byte> content, bool survivesPowerLoss, Func<bool> stillWanted)
    {
        var temporary = $"{path}.{Guid.NewGuid():n}.new";
        try
        {
            using (var file = new FileStream(temporary, FileMode.CreateNew, FileAccess.Write, FileShare.Read, bufferSize: 0))
            {
                file.Write(content);
                file.Flush(flushToDisk: survivesPowerLoss);
            }

            if (!stillWanted())
                return false;
            if (NativeLink(temporary, path) != 0)
            {
                var error = Marshal.GetLastPInvokeError();
                return error is ErrorExists or ErrorNoEntry ? false : throw new IOException($"Cannot create {path}: {new Win32Exception(error).Message}.");
            }
        }
        finally
        {
            File.Delete(temporary);
        }

        if (survivesPowerLoss)
            SyncDirectory(Path.GetDirectoryName(path)!);
        return true;
    }

    /// <summary>Creates a directory and what is missing above it.</summary>
    public static void CreateDirectory(string path, bool survivesPowerLoss)
    {
        if (Directory.Exists(path))
            return;
        var parent = Path.GetDirectoryName(path)!;
        CreateDirectory(parent, survivesPowerLoss);
        Directory.CreateDirectory(path);
        if (survivesPowerLoss)
            SyncDirectory(parent);
    }

    private static void SyncDirectory(string directory)
    {
        var descriptor = NativeOpen(directory, OpenDirectory | OpenCloseOnExec);
        if (descriptor < 0)
            throw new IOException($"Cannot open the directory {directory}: {new Win32Exception(Marshal.GetLastPInvokeError()).Message}.");
        using var handle = new SafeFileHandle(descriptor, ownsHandle: true);
        if (NativeFsync(handle) != 0)
            throw new IOException($"Cannot sync the directory {directory}: {new Win32Exception(Marshal.GetLastPInvokeError()).Message}.");
    }

    [LibraryImport("libc", EntryPoint = "link", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int NativeLink(string existing, string added);

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int NativeOpen(string path, int flags);

    [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
    private static partial int NativeFsync(SafeFileHandle file);
}
