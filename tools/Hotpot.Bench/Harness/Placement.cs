namespace Hotpot.Bench.Harness;

/// <summary>Where the processes of both sides run.</summary>
/// <remarks>A blocking wake-up across cores costs several times what it costs on one core, so a round trip means little without this.</remarks>
internal sealed record Placement(string Name, IReadOnlyList<string> Launcher)
{
    /// <summary>Clients and servers on one core, both sides alike.</summary>
    public static readonly Placement Pinned = new("pinned", ["taskset", "-c", "0"]);

    /// <summary>Where the scheduler puts them.</summary>
    public static readonly Placement Free = new("free", []);

    public static readonly IReadOnlyList<Placement> Both = [Pinned, Free];
}
