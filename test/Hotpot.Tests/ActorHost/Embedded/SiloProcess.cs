using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Threading.Channels;

namespace Hotpot.Tests.ActorHost.Embedded;

/// <summary>
/// A silo in a process of its own, to be killed, stopped and resumed. Disposing it leaves nothing running.
/// </summary>
internal sealed partial class SiloProcess : IDisposable
{
    private const int SignalStop = 19;
    private const int SignalContinue = 18;

    private readonly Process _process;
    private readonly Channel<string> _lines = Channel.CreateUnbounded<string>();

    private SiloProcess(string directory, string name)
    {
        _process = new Process
        {
            StartInfo = new ProcessStartInfo("dotnet", [typeof(Hotpot.TestSilo.PlacedGrain).Assembly.Location, directory, name])
            {
                RedirectStandardInput = true,
                RedirectStandardOutput = true,
            },
        };
        _process.OutputDataReceived += (_, line) =>
        {
            if (line.Data is null)
                _lines.Writer.TryComplete();
            else
                _lines.Writer.TryWrite(line.Data);
        };
        _process.Start();
        _process.BeginOutputReadLine();
    }

    public SiloAddress Address { get; private set; } = SiloAddress.Zero;

    public static async Task<SiloProcess> StartAsync(string directory, string name)
    {
        var silo = new SiloProcess(directory, name);
        try
        {
            var line = await silo.ReadLineAsync();
            Assert.StartsWith("active ", line, StringComparison.Ordinal);
            silo.Address = SiloAddress.Parse(line["active ".Length..]);
            return silo;
        }
        catch
        {
            silo.Dispose();
            throw;
        }
    }

    public async Task<string> ReadLineAsync()
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        return await _lines.Reader.ReadAsync(limit.Token);
    }

    /// <summary>kill -9.</summary>
    public void Kill() => _process.Kill();

    /// <summary>The process lives and holds its lock, but runs nothing.</summary>
    public void Stop() => Assert.Equal(0, NativeKill(_process.Id, SignalStop));

    public void Resume() => Assert.Equal(0, NativeKill(_process.Id, SignalContinue));

    /// <summary>The orderly end: its input ends.</summary>
    public async Task<int> LeaveAsync()
    {
        _process.StandardInput.Close();
        return await ExitCodeAsync();
    }

    public async Task<int> ExitCodeAsync()
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        await _process.WaitForExitAsync(limit.Token);
        return _process.ExitCode;
    }

    public void Dispose()
    {
        if (!_process.HasExited)
            _process.Kill();
        _process.Dispose();
    }

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int NativeKill(int process, int signal);
}
