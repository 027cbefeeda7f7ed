using System.Diagnostics;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Hotpot.Silo;

/// <summary>Starts this silo's engine and says so. The host disposes it after everything that uses it.</summary>
internal sealed partial class EngineStarter(IOptions<HotpotOptions> options, ILogger<EngineStarter> logger)
{
    public Engine Start()
    {
        HotpotOptions settings = options.Value;
        long started = Stopwatch.GetTimestamp();
        CrashPoint.Arm(settings.CrashAt);
        Directory.CreateDirectory(settings.DataDirectory);
        Engine engine = Engine.Start(settings.ToEngineSettings());
        LogOpened(engine.NodeId, engine.Incarnation, settings.DataDirectory, Stopwatch.GetElapsedTime(started).TotalMilliseconds, engine.Info.FabricAddress);
        if (settings.Userfaultfd && !engine.Info.Userfaultfd)
            LogNoViews();
        if (settings.Medium == Medium.Memory)
            LogNotDurable();
        else if (settings.Medium == Medium.Pmem && !engine.Info.MediumIsPmem)
            LogStandIn(settings.DataDirectory);
        return engine;
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Node {Node}, incarnation {Incarnation}: opened {Directory} in {Milliseconds:F1} ms; the data path listens at {Address}.")]
    private partial void LogOpened(NodeId node, Incarnation incarnation, string directory, double milliseconds, string address);

    [LoggerMessage(Level = LogLevel.Warning, Message = "userfaultfd is not permitted, so datasets cannot be mapped here; allow it with vm.unprivileged_userfaultfd=1, CAP_SYS_PTRACE or a seccomp profile. Explicit reads and writes work.")]
    private partial void LogNoViews();

    [LoggerMessage(Level = LogLevel.Warning, Message = "The medium is memory: committed bytes exist only as long as one of their nodes lives.")]
    private partial void LogNotDurable();

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Directory} is not persistent memory; it stands in for it, and its bytes do not survive a loss of power.")]
    private partial void LogStandIn(string directory);
}
