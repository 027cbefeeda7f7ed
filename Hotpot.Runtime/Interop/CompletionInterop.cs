using System.Runtime.InteropServices;

namespace Hotpot.Runtime.Interop;

/// <summary>hp_completion.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct HpCompletion
{
    public ulong Token;
    public int Status;
    public uint Degree;
    public ulong Value;
}

internal static unsafe partial class CompletionInterop
{
    [LibraryImport(Libhotpot.Name, EntryPoint = "hp_wait_completions")]
    public static partial int Wait(EngineHandle engine, HpCompletion* completions, uint max, uint timeoutMs, uint* count);
}
