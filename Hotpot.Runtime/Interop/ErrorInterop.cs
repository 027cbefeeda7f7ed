using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Hotpot.Runtime.Interop;

/// <summary>hp_error.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct HpError
{
    public const int MessageBytes = 512;

    public int Code;
    public MessageText Message;

    /// <summary>The sentence, or null when the native side left it empty.</summary>
    public unsafe string? Text()
    {
        fixed (byte* first = &Message.First)
        {
            ReadOnlySpan<byte> bytes = new(first, MessageBytes);
            int end = bytes.IndexOf((byte)0);
            bytes = end < 0 ? bytes : bytes[..end];
            return bytes.IsEmpty ? null : System.Text.Encoding.UTF8.GetString(bytes);
        }
    }

    [InlineArray(MessageBytes)]
    public struct MessageText
    {
        public byte First;
    }
}

internal static class NativeStatus
{
    /// <summary>Throws the exception of a status; <paramref name="what"/> begins its sentence.</summary>
    public static void Check(int status, string what)
    {
        if (status != (int)HotpotStatus.Ok)
            throw HotpotException.From((HotpotStatus)status, Sentence((HotpotStatus)status, what));
    }

    /// <summary>Throws the exception of a status with the native side's own sentence where it gave one.</summary>
    public static void Check(int status, in HpError error, string what)
    {
        if (status != (int)HotpotStatus.Ok)
            throw HotpotException.From((HotpotStatus)status, Message((HotpotStatus)status, error, what));
    }

    public static string Message(HotpotStatus status, in HpError error, string what) =>
        error.Text() ?? Sentence(status, what);

    public static string Sentence(HotpotStatus status, string what) => $"{what}: {HotpotException.Explain(status)}.";
}
