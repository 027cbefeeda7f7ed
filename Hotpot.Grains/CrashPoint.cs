using System.Diagnostics;

namespace Hotpot.Grains;

/// <summary>
/// A test facility: the process kills itself with SIGKILL at one named point of a protocol, so that tests meet every crash on purpose. The
/// name comes from the engine's settings (<see cref="EngineSettings.CrashAt"/>); points of the engine itself have other names.
/// </summary>
public static class CrashPoint
{
    public const string AfterAssign = "cn.after_assign";
    public const string AfterStage = "cn.after_stage";
    public const string AfterFirstPrepare = "cn.after_first_prepare";
    public const string AfterPrepare = "cn.after_prepare";
    public const string AfterFirstCommit = "cn.after_first_commit";
    public const string AfterCommit = "cn.after_commit";
    public const string AfterStore = "dataset.after_store";
    public const string AfterFence = "dataset.after_fence";
    public const string AfterSettle = "dataset.after_settle";

    // Written once, by Arm, before the silo starts.
    private static string? s_armed;

    /// <summary>Arms a point; null or a name of the engine's disarms all of these.</summary>
    public static void Arm(string? name) => Volatile.Write(ref s_armed, name);

    public static void Hit(string name)
    {
        if (!string.Equals(Volatile.Read(ref s_armed), name, StringComparison.Ordinal))
            return;
        using Process self = Process.GetCurrentProcess();
        self.Kill();
        // The signal is delivered asynchronously; nothing may happen between the point and the death.
        Thread.CurrentThread.Join();
    }
}
