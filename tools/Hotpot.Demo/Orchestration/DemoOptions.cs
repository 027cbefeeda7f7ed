namespace Hotpot.Demo.Orchestration;

/// <summary>What the user may choose.</summary>
internal sealed record DemoOptions(bool Json, int Iterations, string? Data, bool Keep);
