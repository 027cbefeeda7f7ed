using System.Globalization;
using System.Text.Json.Serialization;

namespace Hotpot.Cli.Processes;

/// <summary>
/// One process for ever: its pid alone is given to another process later, so the time it started and the boot it started in
/// belong to its identity.
/// </summary>
internal sealed record ProcessIdentity(
    [property: JsonPropertyName("pid")] int Pid,
    [property: JsonPropertyName("start_ticks")] ulong StartTicks,
    [property: JsonPropertyName("boot")] string Boot)
{
    // Fields of /proc/<pid>/stat behind the program's name, which is in brackets and may itself contain spaces and brackets.
    private const int StateField = 0;
    private const int StartTicksField = 19;

    [JsonIgnore]
    public bool IsAlive => Equals(Of(Pid));

    /// <summary>The identity of the process that has this pid now; null when there is none or it is a zombie.</summary>
    public static ProcessIdentity? Of(int pid)
    {
        string stat;
        try
        {
            stat = File.ReadAllText(string.Create(CultureInfo.InvariantCulture, $"/proc/{pid}/stat"));
        }
        catch (IOException)
        {
            // The kernel removes the file with the process, also between open and read: there is no such process.
            return null;
        }

        var fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
        // A zombie has ended; only its parent has not asked for its exit code yet.
        return fields[StateField] is "Z" or "X"
            ? null
            : new ProcessIdentity(pid, ulong.Parse(fields[StartTicksField], CultureInfo.InvariantCulture), CurrentBoot());
    }

    private static string CurrentBoot() => File.ReadAllText("/proc/sys/kernel/random/boot_id").Trim();
}
