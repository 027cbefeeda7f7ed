using System.ComponentModel;
using System.Runtime.InteropServices;

namespace Hotpot.Graph.Engine;

/// <summary>Memory outside the managed heap, zeroed, on huge pages where the kernel has some.</summary>
internal static unsafe partial class HugePages
{
    private const nuint PageBytes = 2 << 20;
    private const int AdviseHugePage = 14;
    private const int InvalidArgument = 22;

    public static void* Allocate(nuint bytes)
    {
        bytes = ((bytes / PageBytes) + 1) * PageBytes;
        var memory = NativeMemory.AlignedAlloc(bytes, PageBytes);
        // EINVAL: a kernel without huge pages.
        if (Advise(memory, bytes, AdviseHugePage) != 0 && Marshal.GetLastPInvokeError() is var error && error != InvalidArgument)
            throw new Win32Exception(error);
        NativeMemory.Clear(memory, bytes);
        return memory;
    }

    public static void Free(void* memory) => NativeMemory.AlignedFree(memory);

    [LibraryImport("libc", EntryPoint = "madvise", SetLastError = true)]
    private static partial int Advise(void* address, nuint length, int advice);
}
