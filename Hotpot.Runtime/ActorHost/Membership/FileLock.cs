using System.ComponentModel;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Hotpot.Actors;

/// <summary>
/// An flock on a file. The kernel releases it the moment its process dies, however it dies, which makes a held lock an
/// exact sign of life on one machine. The files are opened with open(2), because the files of System.IO take flocks of
/// their own; and with O_CLOEXEC, because a child process that inherited the descriptor would keep the lock of a dead
/// parent.
/// </summary>
internal sealed partial class FileLock : IDisposable
{
    private const int OpenReadWrite = 0x2;
    private const int OpenCreate = 0x40;
    private const int OpenCloseOnExec = 0x80000;
    private const int LockShared = 1;
    private const int LockExclusive = 2;
    private const int LockNonBlocking = 4;
    private const int ErrorInterrupted = 4;
    private const int ErrorWouldBlock = 11;
    private const int ErrorNoEntry = 2;

    private readonly SafeFileHandle _file;

    private FileLock(SafeFileHandle file) => _file = file;

    /// <summary>Takes the lock or returns null when another holder has it.</summary>
    public static FileLock? TryAcquire(string path)
    {
        while (true)
        {
            var file = Open(path, OpenCreate)!;
            if (!Flock(file, LockExclusive | LockNonBlocking, path))
            {
                file.Dispose();
                return null;
            }

            if (!IsDeleted(file))
                return new FileLock(file);
            // Its last holder deleted it after it was opened here, and nobody would see this lock.
            file.Dispose();
        }
    }

    /// <summary>True when a living process holds the lock.</summary>
    public static bool IsHeld(string path)
    {
        using var file = Open(path, 0);
        if (file is null)
            return false;
        return !Flock(file, LockShared | LockNonBlocking, path);
    }

    public void Dispose() => _file.Dispose();

    /// <summary>The file has no name any more; proc(5) says so at the end of the link.</summary>
    private static bool IsDeleted(SafeFileHandle file) =>
        new FileInfo($"/proc/self/fd/{file.DangerousGetHandle()}").LinkTarget?.EndsWith(" (deleted)", StringComparison.Ordinal) == true;

    private static SafeFileHandle? Open(string path, int create)
    {
        var descriptor = NativeOpen(path, OpenReadWrite | OpenCloseOnExec | create, 0x1b0);
        if (descriptor >= 0)
            return new SafeFileHandle(descriptor, ownsHandle: true);
        var error = Marshal.GetLastPInvokeError();
        if (error == ErrorNoEntry && create == 0)
            return null;
        throw new IOException($"Cannot open the lock file {path}: {new Win32Exception(error).Message}.");
    }

    private static bool Flock(SafeFileHandle file, int operation, string path)
    {
        while (NativeFlock(file, operation) != 0)
        {
            var error = Marshal.GetLastPInvokeError();
            if (error == ErrorWouldBlock)
                return false;
            if (error != ErrorInterrupted)
                throw new IOException(
                    $"Cannot lock {path}: {new Win32Exception(error).Message}. The cluster directory must be on a local file system.");
        }

        return true;
    }

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int NativeOpen(string path, int flags, int mode);

    [LibraryImport("libc", EntryPoint = "flock", SetLastError = true)]
    private static partial int NativeFlock(SafeFileHandle file, int operation);
}
