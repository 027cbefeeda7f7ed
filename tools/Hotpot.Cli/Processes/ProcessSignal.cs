using System.ComponentModel;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Hotpot.Cli.Processes;

/// <summary>Sends a signal to exactly the process that is meant.</summary>
/// <remarks>
/// Between a look at /proc and a kill(2) the process may end and its pid may be taken. A pidfd holds on to one process: it is opened
/// first, then the identity is compared, and the signal goes through the pidfd, so it reaches that process or nobody.
/// </remarks>
internal static partial class ProcessSignal
{
    public const int Terminate = 15;
    public const int Kill = 9;

    private const int NoSuchProcess = 3; // ESRCH

    /// <summary>False when the process has ended already.</summary>
    public static bool Send(ProcessIdentity process, int signal)
    {
        var descriptor = PidfdOpen(process.Pid, 0);
        if (descriptor < 0)
            return Marshal.GetLastPInvokeError() == NoSuchProcess ? false : throw Failure("pidfd_open", process);
        using var handle = new SafeFileHandle(descriptor, ownsHandle: true);
        if (!process.IsAlive)
            return false;
        if (PidfdSendSignal(descriptor, signal, 0, 0) == 0)
            return true;
        return Marshal.GetLastPInvokeError() == NoSuchProcess ? false : throw Failure("pidfd_send_signal", process);
    }

    private static Win32Exception Failure(string call, ProcessIdentity process)
    {
        var error = Marshal.GetLastPInvokeError();
        return new Win32Exception(error, $"{call} for process {process.Pid} failed: {Marshal.GetPInvokeErrorMessage(error)}.");
    }

    [LibraryImport("libc", EntryPoint = "pidfd_open", SetLastError = true)]
    private static partial int PidfdOpen(int pid, uint flags);

    [LibraryImport("libc", EntryPoint = "pidfd_send_signal", SetLastError = true)]
    private static partial int PidfdSendSignal(int descriptor, int signal, nint information, uint flags);
}
